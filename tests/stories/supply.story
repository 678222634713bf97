# A maker of insulin, a wholesaler, two pharmacies, a hospital that buys nothing, a regulator.
network maker:manufacturer other-maker:manufacturer wholesale:supplier pharmacy:dispenser clinic-pharmacy:dispenser hospital:author agency:regulator
----

# Four pens of one lot come off the line.  Tokens, not serial numbers: nobody outside the chain
# can tell which pen is meant.  The product code is public.
maker: supply.commission product="09506000134352" lot=@lot-7 items=["@pen-1","@pen-2","@pen-3","@pen-4"] event=@event-1 expires_ms=1798761600000
maker: supply.commission product="09506000134352" lot=@lot-7 items=["@pen-1"] event=@event-1 expires_ms=1798761600000
maker: supply.commission product="09506000134352" lot=@lot-7 items=["@pen-5"] event=@event-1
other-maker: supply.commission product="09506000134352" lot=@lot-8 items=["@pen-6"] event=@event-1
wholesale: supply.commission product="09506000134352" lot=@lot-8 items=["@pen-6"] event=@event-1
----
applied
supply-item-exists
supply-lot-differs
supply-product-of-another
role-missing

# Three of them go into a case, the case onto a pallet.
maker: supply.aggregate parent=@case-1 children=["@pen-1","@pen-2","@pen-3"] event=@event-2
maker: supply.aggregate parent=@pallet-1 children=["@case-1"] event=@event-3
maker: supply.aggregate parent=@case-2 children=["@pen-1"] event=@event-3
maker: supply.aggregate parent=@pen-4 children=["@pallet-1"] event=@event-3
maker: supply.disaggregate parent=@pen-4 event=@event-3
maker: supply.disaggregate parent=@pallet-1 children=["@pen-4"] event=@event-3
----
applied
applied
supply-item-packed
supply-not-container
supply-not-container
supply-not-inside

# The pallet is sent to the wholesaler.  One pen alone cannot leave it, a hospital without the
# role cannot receive it, and once it is on its way it cannot be sent to a second buyer.
maker: supply.ship items=["@pen-1"] to=wholesale event=@event-4
maker: supply.ship items=["@pallet-1"] to=hospital event=@event-4
maker: supply.ship items=["@pallet-1"] to=maker event=@event-4
wholesale: supply.ship items=["@pallet-1"] to=pharmacy event=@event-4
maker: supply.ship items=["@pallet-9"] to=wholesale event=@event-4
maker: supply.ship items=["@pallet-1"] to=wholesale event=@event-4
maker: supply.ship items=["@pallet-1"] to=pharmacy event=@event-4
maker: supply.aggregate parent=@pallet-1 children=["@pen-4"] event=@event-4
ask supply.item item=@pen-1
----
supply-item-packed
supply-receiver-unfit
supply-receiver-unfit
supply-not-owner
supply-item-unknown
applied
supply-double-transfer
supply-item-in-transit
known: yes
product: 09506000134352
lot: @lot-7
owner: maker
status: shipped
to: wholesale
parent: @case-1
packed: 0
quarantine: clear
recalled: no
breached: no
steps_total: 3
steps:
  - kind: commission
    org: maker
    holder: maker
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;a8df143abfcce8b850e13bc766e6b1be5856ba91723fefbc004777cc417e9042?ver=CBV2.0
    height: 1
    time_ms: day 0 00:00:01
  - kind: aggregate
    org: maker
    holder: maker
    to: -
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;26dc3d498ef86ee477bcf06313cd73baab8a793fb6dfdcf2c5c7c9c3bc394107?ver=CBV2.0
    height: 6
    time_ms: day 0 00:00:06
  - kind: ship
    org: maker
    holder: maker
    to: wholesale
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;3ee7229cbe138ab5f4c05faa9e8a8e1ed88e27e6888ef8fe9d08efebb2b34f17?ver=CBV2.0
    height: 17
    time_ms: day 0 00:00:17
next: -

# Receiving must match: the institution that was named, from the one that sent.
pharmacy: supply.receive items=["@pallet-1"] sender=maker event=@event-5
wholesale: supply.receive items=["@pallet-1"] sender=other-maker event=@event-5
wholesale: supply.receive items=["@case-1"] sender=maker event=@event-5
wholesale: supply.receive items=["@pallet-1"] sender=maker event=@event-5
wholesale: supply.receive items=["@pallet-1"] sender=maker event=@event-5
----
supply-not-receiver
supply-sender-differs
supply-item-packed
applied
supply-not-in-transit

# The maker sells the pallet a second time.  It had it once: a double transfer.
maker: supply.ship items=["@pallet-1"] to=pharmacy event=@event-6
----
supply-double-transfer

# The wholesaler unpacks and sends the case to the pharmacy; the truck never left, it voids the
# shipment and sends it again the next day.
wholesale: supply.disaggregate parent=@pallet-1 event=@event-7
wholesale: supply.void items=["@case-1"] event=@event-8
wholesale: supply.ship items=["@case-1"] to=pharmacy event=@event-8
pharmacy: supply.void items=["@case-1"] event=@event-8
wholesale: supply.void items=["@case-1"] event=@event-9
later 1d
wholesale: supply.ship items=["@case-1"] to=pharmacy event=@event-10
pharmacy: supply.receive items=["@case-1"] sender=wholesale event=@event-11
pharmacy: supply.dispense items=["@case-1"] event=@event-12
pharmacy: supply.dispense items=["@pen-1"] event=@event-12
pharmacy: supply.disaggregate parent=@case-1 event=@event-12
----
applied
supply-not-in-transit
applied
supply-not-owner
applied
applied
applied
supply-not-product
supply-item-packed
applied

# A patient gets the first pen.  That is its end: no second dispensing, no resale.
pharmacy: supply.dispense items=["@pen-1"] event=@event-13
pharmacy: supply.dispense items=["@pen-1"] event=@event-13
pharmacy: supply.ship items=["@pen-1"] to=clinic-pharmacy event=@event-13
----
applied
supply-item-ended
supply-item-ended

# The second pen is sent back.  Back means to somebody who had it.
pharmacy: supply.return items=["@pen-2"] to=clinic-pharmacy reason=saleable event=@event-14
pharmacy: supply.return items=["@pen-2"] to=maker reason=saleable event=@event-14
maker: supply.receive items=["@pen-2"] sender=pharmacy event=@event-15
----
supply-return-no-way
applied
applied

# Where is the second pen, and who had it?
ask supply.item item=@pen-2
ask supply.item item=@pen-2 start=4 limit=2
ask supply.holder item=@pen-2 at_height=23
ask supply.holder item=@pen-2 at_height=1
ask supply.item item=@pen-9
----
known: yes
product: 09506000134352
lot: @lot-7
owner: maker
status: held
to: -
parent: -
packed: 0
quarantine: clear
recalled: no
breached: no
steps_total: 11
steps:
  - kind: commission
    org: maker
    holder: maker
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;a8df143abfcce8b850e13bc766e6b1be5856ba91723fefbc004777cc417e9042?ver=CBV2.0
    height: 1
    time_ms: day 0 00:00:01
  - kind: aggregate
    org: maker
    holder: maker
    to: -
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;26dc3d498ef86ee477bcf06313cd73baab8a793fb6dfdcf2c5c7c9c3bc394107?ver=CBV2.0
    height: 6
    time_ms: day 0 00:00:06
  - kind: ship
    org: maker
    holder: maker
    to: wholesale
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;3ee7229cbe138ab5f4c05faa9e8a8e1ed88e27e6888ef8fe9d08efebb2b34f17?ver=CBV2.0
    height: 17
    time_ms: day 0 00:00:17
  - kind: receive
    org: wholesale
    holder: wholesale
    to: -
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;e091c2d8c29ee1d47f83a7490fa2de00b1bd02babf0e73e27880a141da94fb90?ver=CBV2.0
    height: 23
    time_ms: day 0 00:00:23
  - kind: ship
    org: wholesale
    holder: wholesale
    to: pharmacy
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;598e729116d79bbe305e7919bc5f5c858d44358ee707e80312c74079739fb61e?ver=CBV2.0
    height: 28
    time_ms: day 0 00:00:28
  - kind: void
    org: wholesale
    holder: wholesale
    to: -
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;0da24ca4fa0b80a58a03e54d61cb261b86aaf9711a11f513009587b770386b33?ver=CBV2.0
    height: 30
    time_ms: day 0 00:00:30
  - kind: ship
    org: wholesale
    holder: wholesale
    to: pharmacy
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;23291602f26e284bf6b8e31eb1064cdf19a0e3d9974b99f8bc4e6e6289d9fcf2?ver=CBV2.0
    height: 32
    time_ms: day 1 00:00:32
  - kind: receive
    org: pharmacy
    holder: pharmacy
    to: -
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;4620eed65fecb35b9aff06f4ef9a305b1050a1eb0a69d990b04911727ac564f1?ver=CBV2.0
    height: 33
    time_ms: day 1 00:00:33
  - kind: disaggregate
    org: pharmacy
    holder: pharmacy
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;5c19f44c06e81df8bea5250d45edfdd011257f869398e40cfb56bf822220154d?ver=CBV2.0
    height: 36
    time_ms: day 1 00:00:36
  - kind: return
    org: pharmacy
    holder: pharmacy
    to: maker
    parent: -
    reason: saleable
    late: no
    epcis: ni:///sha-256;8e3dfc6bc311b6e191fb970a1bed0e7fa36efdfbbf76c3e1dce4a19f2d185eaf?ver=CBV2.0
    height: 41
    time_ms: day 1 00:00:41
  - kind: receive
    org: maker
    holder: maker
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;1c6ccaae2e12fc2abe8c0647c3dd31349863a6e2efc986a6042632abb7793e64?ver=CBV2.0
    height: 42
    time_ms: day 1 00:00:42
next: -
known: yes
product: 09506000134352
lot: @lot-7
owner: maker
status: held
to: -
parent: -
packed: 0
quarantine: clear
recalled: no
breached: no
steps_total: 11
steps:
  - kind: ship
    org: wholesale
    holder: wholesale
    to: pharmacy
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;598e729116d79bbe305e7919bc5f5c858d44358ee707e80312c74079739fb61e?ver=CBV2.0
    height: 28
    time_ms: day 0 00:00:28
  - kind: void
    org: wholesale
    holder: wholesale
    to: -
    parent: @case-1
    reason: -
    late: no
    epcis: ni:///sha-256;0da24ca4fa0b80a58a03e54d61cb261b86aaf9711a11f513009587b770386b33?ver=CBV2.0
    height: 30
    time_ms: day 0 00:00:30
next: 6
known: yes
holder: wholesale
last_kind: receive
last_height: 23
known: yes
holder: maker
last_kind: commission
last_height: 1
known: no
product: -
lot: -
owner: -
status: -
to: -
parent: -
packed: 0
quarantine: -
recalled: no
breached: no
steps_total: 0
steps: -
next: -

# An ended lot is not dispensed.
later 366d
pharmacy: supply.dispense items=["@pen-3"] event=@event-16
pharmacy: supply.destroy items=["@pen-3"] reason=expired event=@event-17
pharmacy: supply.destroy items=["@pen-3"] reason=expired event=@event-17
ask supply.reach product="09506000134352" lot=@lot-7
----
supply-item-expired
applied
supply-item-ended
known: yes
maker: maker
expires_ms: day 365 00:00:00
commissioned: 4
recalled: no
level: -
reason: -
recalled_by: -
recalled_ms: -
acknowledge_by_ms: -
holders_total: 3
holders:
  - org: maker
    held: 2
    passed: 3
    dispensed: 0
    destroyed: 0
    acknowledged_ms: -
    overdue: no
  - org: wholesale
    held: 0
    passed: 3
    dispensed: 0
    destroyed: 0
    acknowledged_ms: -
    overdue: no
  - org: pharmacy
    held: 0
    passed: 1
    dispensed: 1
    destroyed: 1
    acknowledged_ms: -
    overdue: no
next: -
