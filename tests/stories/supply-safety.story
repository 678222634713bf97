# Five pens on their way when something goes wrong with them.
network maker:manufacturer wholesale:supplier pharmacy:dispenser clinic-pharmacy:dispenser agency:regulator
----

maker: supply.commission product="09506000134352" lot=@lot-7 items=["@pen-1","@pen-2","@pen-3"] event=@event-1
maker: supply.commission product="09506000134352" lot=@lot-8 items=["@pen-4","@pen-5"] event=@event-1
maker: supply.aggregate parent=@case-1 children=["@pen-1","@pen-2"] event=@event-2
maker: supply.ship items=["@case-1","@pen-3","@pen-4"] to=wholesale event=@event-3
wholesale: supply.receive items=["@case-1","@pen-3","@pen-4"] sender=maker event=@event-4
wholesale: supply.ship items=["@pen-3","@pen-4"] to=pharmacy event=@event-5
pharmacy: supply.receive items=["@pen-3","@pen-4"] sender=wholesale event=@event-6
pharmacy: supply.dispense items=["@pen-3"] event=@event-7
----
applied
applied
applied
applied
applied
applied
applied
applied

# The pharmacy does not like the seal of a pen.  Suspect: it goes nowhere until that is cleared.
pharmacy: supply.suspect items=["@pen-4"] reason=tampered event=@doubt-1
pharmacy: supply.suspect items=["@pen-4"] reason=tampered event=@doubt-1
clinic-pharmacy: supply.suspect items=["@pen-1"] reason=tampered event=@doubt-1
pharmacy: supply.dispense items=["@pen-4"] event=@event-8
pharmacy: supply.ship items=["@pen-4"] to=clinic-pharmacy event=@event-8
wholesale: supply.clear items=["@pen-4"] event=@finding-1
maker: supply.clear items=["@pen-4"] event=@finding-1
maker: supply.clear items=["@pen-4"] event=@finding-1
----
applied
supply-quarantined-already
supply-not-concerned
supply-item-quarantined
supply-item-quarantined
supply-clear-not-yours
applied
supply-not-quarantined

# It was genuine; but then the maker finds that it is not.  The notice is two days late: it
# takes effect and is marked.  Only a regulator takes such a finding back.
later 3d
maker: supply.illegitimate items=["@pen-4"] reason=counterfeit determined_ms=+5d event=@finding-2
maker: supply.illegitimate items=["@pen-4"] reason=counterfeit determined_ms=1767225700000 event=@finding-2
maker: supply.illegitimate items=["@pen-4"] reason=counterfeit determined_ms=1767225700000 event=@finding-2
pharmacy: supply.ship items=["@pen-4"] to=clinic-pharmacy event=@event-8
maker: supply.clear items=["@pen-4"] event=@finding-3
agency: supply.clear items=["@pen-4"] event=@finding-3
ask supply.item item=@pen-4 start=5
----
supply-future
applied
supply-quarantined-already
supply-item-quarantined
supply-clear-not-yours
applied
known: yes
product: 09506000134352
lot: @lot-8
owner: pharmacy
status: held
to: -
parent: -
packed: 0
quarantine: clear
recalled: no
breached: no
steps_total: 9
steps:
  - kind: suspect
    org: pharmacy
    holder: pharmacy
    to: -
    parent: -
    reason: tampered
    late: no
    epcis: ni:///sha-256;c2ca0acc88b235c0b73344fcf5fe832ba809268d0859b07757c93db867452b3a?ver=CBV2.0
    height: 9
    time_ms: day 0 00:00:09
  - kind: clear
    org: maker
    holder: pharmacy
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;f32207be6cd6423ce137e645f8203f886c1366060079d805c20a42a7d50d9981?ver=CBV2.0
    height: 15
    time_ms: day 0 00:00:15
  - kind: illegitimate
    org: maker
    holder: pharmacy
    to: -
    parent: -
    reason: counterfeit
    late: yes
    epcis: ni:///sha-256;abf32294be9ed037cfc7ba81a4b86907b8e7c4f8e2fb2f7f755ab37e87f94cd4?ver=CBV2.0
    height: 19
    time_ms: day 3 00:00:19
  - kind: clear
    org: agency
    holder: pharmacy
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;ef4f3280d48f4b23f97250151093a50c68d28f7d6effb94dccac93d3d88d4676?ver=CBV2.0
    height: 23
    time_ms: day 3 00:00:23
next: -

# Readings of the case's journey.  Nobody but its owner reports them, none about the future.
pharmacy: supply.coldchain item=@case-1 root=@readings-1 count=288 from_ms=1767225600000 until_ms=1767312000000 breach=false event=@event-9
wholesale: supply.coldchain item=@case-1 root=@readings-1 count=288 from_ms=1767225600000 until_ms=+30d breach=false event=@event-9
wholesale: supply.coldchain item=@case-1 root=@readings-1 count=288 from_ms=1767225600000 until_ms=1767312000000 breach=false event=@event-9
wholesale: supply.coldchain item=@case-1 root=@readings-2 count=288 from_ms=1767312000000 until_ms=1767398400000 breach=true event=@event-10
wholesale: supply.ship items=["@case-1"] to=pharmacy event=@event-11
pharmacy: supply.coldchain item=@pen-3 root=@readings-3 count=12 from_ms=1767312000000 until_ms=1767398400000 breach=false event=@event-10
ask supply.cold item=@pen-1
ask supply.item item=@pen-1 start=4
----
supply-not-custodian
supply-future
applied
applied
supply-item-quarantined
supply-item-ended
known: yes
breached: yes
total: 2
stretches:
  - org: wholesale
    root: @readings-1
    count: 288
    from_ms: day 0 00:00:00
    until_ms: day 1 00:00:00
    breach: no
    event: @event-9
    height: 26
    time_ms: day 3 00:00:26
  - org: wholesale
    root: @readings-2
    count: 288
    from_ms: day 1 00:00:00
    until_ms: day 2 00:00:00
    breach: yes
    event: @event-10
    height: 27
    time_ms: day 3 00:00:27
next: -
known: yes
product: 09506000134352
lot: @lot-7
owner: wholesale
status: held
to: -
parent: @case-1
packed: 0
quarantine: suspect
recalled: no
breached: yes
steps_total: 5
steps:
  - kind: suspect
    org: wholesale
    holder: wholesale
    to: -
    parent: @case-1
    reason: cold-chain
    late: no
    epcis: ni:///sha-256;23291602f26e284bf6b8e31eb1064cdf19a0e3d9974b99f8bc4e6e6289d9fcf2?ver=CBV2.0
    height: 27
    time_ms: day 3 00:00:27
next: -

# The maker recalls the lot.  From this block on nothing of it is sent or dispensed; it may go
# back and it may be destroyed.
wholesale: supply.recall product="09506000134352" lot=@lot-7 level=2 reason=potency determined_ms=1767225700000 event=@recall-1
maker: supply.recall product="09506000134369" level=2 reason=potency determined_ms=1767225700000 event=@recall-1
maker: supply.acknowledge product="09506000134352" lot=@lot-7
maker: supply.lift product="09506000134352" lot=@lot-7 event=@recall-1
maker: supply.recall product="09506000134352" lot=@lot-7 level=2 reason=potency determined_ms=1767225700000 event=@recall-1
maker: supply.recall product="09506000134352" lot=@lot-7 level=1 reason=potency determined_ms=1767225700000 event=@recall-1
maker: supply.clear items=["@case-1","@pen-1","@pen-2"] event=@finding-4
wholesale: supply.ship items=["@case-1"] to=pharmacy event=@event-11
wholesale: supply.return items=["@case-1"] to=maker reason=recalled event=@event-12
maker: supply.receive items=["@case-1"] sender=wholesale event=@event-13
maker: supply.destroy items=["@case-1"] reason=recalled event=@event-14
----
role-missing
supply-product-unknown
supply-recall-none
supply-recall-none
applied
supply-recalled-already
applied
supply-item-recalled
applied
applied
applied

# Whom does it reach?  The pharmacy dispensed a pen and is to answer within 24 hours.
clinic-pharmacy: supply.acknowledge product="09506000134352" lot=@lot-7
ask supply.reach product="09506000134352" lot=@lot-7
later 25h
ask supply.reach product="09506000134352" lot=@lot-7 start=2
pharmacy: supply.acknowledge product="09506000134352" lot=@lot-7
pharmacy: supply.acknowledge product="09506000134352" lot=@lot-7
ask supply.reach product="09506000134352" lot=@lot-7 start=2
----
supply-lot-not-held
known: yes
maker: maker
expires_ms: -
commissioned: 3
recalled: yes
level: 2
reason: potency
recalled_by: maker
recalled_ms: day 3 00:00:34
acknowledge_by_ms: day 4 00:00:34
holders_total: 3
holders:
  - org: maker
    held: 0
    passed: 3
    dispensed: 0
    destroyed: 2
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
    passed: 0
    dispensed: 1
    destroyed: 0
    acknowledged_ms: -
    overdue: no
next: -
known: yes
maker: maker
expires_ms: -
commissioned: 3
recalled: yes
level: 2
reason: potency
recalled_by: maker
recalled_ms: day 3 00:00:34
acknowledge_by_ms: day 4 00:00:34
holders_total: 3
holders:
  - org: pharmacy
    held: 0
    passed: 0
    dispensed: 1
    destroyed: 0
    acknowledged_ms: -
    overdue: yes
next: -
applied
supply-acknowledged
known: yes
maker: maker
expires_ms: -
commissioned: 3
recalled: yes
level: 2
reason: potency
recalled_by: maker
recalled_ms: day 3 00:00:34
acknowledge_by_ms: day 4 00:00:34
holders_total: 3
holders:
  - org: pharmacy
    held: 0
    passed: 0
    dispensed: 1
    destroyed: 0
    acknowledged_ms: day 4 01:00:43
    overdue: no
next: -

# The agency recalls the whole product: that holds for the other lot as well, and the maker
# cannot end it.
agency: supply.recall product="09506000134352" level=1 reason=contaminated determined_ms=+1d event=@recall-2
agency: supply.recall product="09506000134352" level=1 reason=contaminated determined_ms=1767312000000 event=@recall-2
pharmacy: supply.dispense items=["@pen-4"] event=@event-15
maker: supply.lift product="09506000134352" event=@recall-3
agency: supply.lift product="09506000134352" event=@recall-3
maker: supply.lift product="09506000134352" lot=@lot-7 event=@recall-4
pharmacy: supply.dispense items=["@pen-4"] event=@event-15
ask supply.recalls product="09506000134352"
----
supply-future
applied
supply-item-recalled
supply-recall-not-yours
applied
applied
applied
total: 2
recalls:
  - lot: @lot-7
    org: maker
    level: 2
    reason: potency
    event: @recall-1
    determined_ms: day 0 00:01:40
    late: yes
    height: 34
    time_ms: day 3 00:00:34
    lifted_by: maker
    lifted_height: 50
    lifted_ms: day 4 01:00:50
  - lot: -
    org: agency
    level: 1
    reason: contaminated
    event: @recall-2
    determined_ms: day 1 00:00:00
    late: yes
    height: 46
    time_ms: day 4 01:00:46
    lifted_by: agency
    lifted_height: 49
    lifted_ms: day 4 01:00:49
next: -
