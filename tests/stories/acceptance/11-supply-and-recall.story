# Medicines and devices on their way, and a recall that reaches everybody.
#
# A maker sells insulin pens to a country's reserve, which is kept by the agency, and from there
# they come to the hospital's pharmacy.  What the ledger holds are random tokens, one owner for
# each, and clocks; serial numbers, prices and patients stay with those who trade.
# Every story begins on a Thursday, at midnight UTC.
network hospital-a:author,custodian,dispenser,research insurer-b:payer maker-c:manufacturer,research agency-d:ethics,regulator,supplier
----

# Five pens of one lot come off the line, four of them go into a case.  Only a maker makes.
maker-c: supply.commission product="09506000141107" lot=@lot items=["@pen-1","@pen-2","@pen-3","@pen-4","@pen-5"] event=@made
hospital-a: supply.commission product="09506000141107" lot=@lot items=["@pen-6"] event=@made
maker-c: supply.aggregate parent=@case children=["@pen-1","@pen-2","@pen-3","@pen-4"] event=@packed
----
applied
role-missing
applied

# The case goes to the agency.  An insurer trades no medicines; a case that is on its way is
# not sold a second time; and it arrives with whom it was sent to, from whom it was sent.
maker-c: supply.ship items=["@case"] to=insurer-b event=@sent
maker-c: supply.ship items=["@case"] to=agency-d event=@sent as sent
maker-c: supply.ship items=["@case"] to=hospital-a event=@sent-twice
hospital-a: supply.receive items=["@case"] sender=maker-c event=@arrived
agency-d: supply.receive items=["@case"] sender=hospital-a event=@arrived
agency-d: supply.receive items=["@case"] sender=maker-c event=@arrived as arrived
maker-c: supply.ship items=["@case"] to=hospital-a event=@sold-again
----
supply-receiver-unfit
applied
supply-double-transfer
supply-not-receiver
supply-sender-differs
applied
supply-double-transfer

# The agency opens the case and sends three pens on.  Two arrive at the hospital's door, and the
# pharmacist says so: wrong quantity.  The agency has three business days to put it right:
# Thursday, Friday and Monday, so until Tuesday.
agency-d: supply.disaggregate parent=@case event=@opened
agency-d: supply.ship items=["@pen-1","@pen-2"] to=hospital-a event=@sent-on
hospital-a: supply.receive items=["@pen-1","@pen-2"] sender=agency-d event=@arrived-on
hospital-a: supply.exception.open case=@missing kind=wrong-quantity against=agency-d event=@arrived-on
hospital-a: supply.exception.close case=@missing outcome=fixed
ask supply.case case=@missing
----
applied
applied
applied
applied
supply-exception-unfixed
known: yes
overdue: no
case:
  case: @missing
  kind: wrong-quantity
  org: hospital-a
  against: agency-d
  item: -
  event: @arrived-on
  quantity: 1
  status: open
  opened_height: 14
  opened_ms: day 0 00:00:14
  due_ms: day 5 00:00:14
  fix_event: -
  fixed_height: -
  fixed_ms: -
  outcome: -
  closed_height: -
  closed_ms: -
  late: no

# Nothing happens over the weekend, nor on Monday.  On Wednesday the case is overdue; the
# agency corrects its papers then, and that it was late stays on record.
later 6d
ask supply.case case=@missing
hospital-a: supply.exception.fix case=@missing event=@corrected
agency-d: supply.exception.fix case=@missing event=@corrected
hospital-a: supply.exception.close case=@missing outcome=fixed
ask supply.case case=@missing
----
known: yes
overdue: yes
case:
  case: @missing
  kind: wrong-quantity
  org: hospital-a
  against: agency-d
  item: -
  event: @arrived-on
  quantity: 1
  status: open
  opened_height: 14
  opened_ms: day 0 00:00:14
  due_ms: day 5 00:00:14
  fix_event: -
  fixed_height: -
  fixed_ms: -
  outcome: -
  closed_height: -
  closed_ms: -
  late: yes
supply-exception-not-responsible
applied
applied
known: yes
overdue: no
case:
  case: @missing
  kind: wrong-quantity
  org: hospital-a
  against: agency-d
  item: -
  event: @arrived-on
  quantity: 1
  status: closed
  opened_height: 14
  opened_ms: day 0 00:00:14
  due_ms: day 5 00:00:14
  fix_event: @corrected
  fixed_height: 18
  fixed_ms: day 6 00:00:18
  outcome: fixed
  closed_height: 19
  closed_ms: day 6 00:00:19
  late: yes

# A fridge of the agency failed: pen 3 was too warm.  Suspect items go nowhere until somebody
# who may judge has looked; the hospital may not.  Asked whether the pen is good, the maker cannot
# say yes while the ledger holds it for suspect, and can after it has looked.
agency-d: supply.coldchain item=@pen-3 root=@fridge count=288 from_ms=-2d until_ms=-1d breach=true event=@warm
agency-d: supply.ship items=["@pen-3"] to=hospital-a event=@sent-warm
hospital-a: supply.verify.request request=@is-it-good responder=maker-c item=@pen-3 product="09506000141107" lot=@lot
maker-c: supply.verify.answer request=@is-it-good verified=true
hospital-a: supply.clear items=["@pen-3"] event=@finding
maker-c: supply.clear items=["@pen-3"] event=@finding
maker-c: supply.verify.answer request=@is-it-good verified=true
----
applied
supply-item-quarantined
applied
supply-answer-contradicts
supply-clear-not-yours
applied
applied

# A pen of unknown origin is offered to the pharmacy.  It asks the maker, which has a day to
# answer and never made it.
hospital-a: supply.verify.request request=@is-it-genuine responder=maker-c item=@strange-pen product="09506000141107"
maker-c: supply.verify.answer request=@is-it-genuine verified=false reason=unknown-item
ask supply.request request=@is-it-genuine
----
applied
applied
known: yes
overdue: no
request:
  request: @is-it-genuine
  org: hospital-a
  responder: maker-c
  item: @strange-pen
  product: 09506000141107
  lot: -
  status: answered
  opened_height: 27
  opened_ms: day 6 00:00:27
  due_ms: day 7 00:00:27
  verified: no
  reason: unknown-item
  answered_height: 28
  answered_ms: day 6 00:00:28
  late: no

# A patient gets the first pen: that is its end.
hospital-a: supply.dispense items=["@pen-1"] event=@dispensed as dispensed
hospital-a: supply.dispense items=["@pen-1"] event=@dispensed
----
applied
supply-item-ended

# The maker finds that the lot is too weak and recalls it.  From this block on nothing of it is
# sold or dispensed anywhere; it may go back and be destroyed.  An announcement of what will be
# found tomorrow is none, and a lot is not recalled twice.
maker-c: supply.recall product="09506000141107" lot=@lot level=2 reason=potency determined_ms=+1d event=@recall
maker-c: supply.recall product="09506000141107" lot=@lot level=2 reason=potency determined_ms=-3h event=@recall as recalled
maker-c: supply.recall product="09506000141107" lot=@lot level=1 reason=potency determined_ms=-3h event=@recall
hospital-a: supply.dispense items=["@pen-2"] event=@too-late
agency-d: supply.ship items=["@pen-4"] to=hospital-a event=@too-late
hospital-a: supply.return items=["@pen-2"] to=maker-c reason=recalled event=@back
maker-c: supply.receive items=["@pen-2"] sender=hospital-a event=@came-back
maker-c: supply.destroy items=["@pen-2","@pen-5"] reason=recalled event=@destroyed
----
supply-future
applied
supply-recalled-already
supply-item-recalled
supply-item-recalled
applied
applied
applied

# Everybody who has or gave out such pens is to confirm within a day.  The hospital does, the
# agency forgets; the list below adds up to five pens, so nobody is left out of it.
hospital-a: supply.acknowledge product="09506000141107" lot=@lot
hospital-a: supply.acknowledge product="09506000141107" lot=@lot
later 2d
ask supply.reach product="09506000141107" lot=@lot
----
applied
supply-acknowledged
known: yes
maker: maker-c
expires_ms: -
commissioned: 5
recalled: yes
level: 2
reason: potency
recalled_by: maker-c
recalled_ms: day 6 00:00:32
acknowledge_by_ms: day 7 00:00:32
holders_total: 3
holders:
  - org: maker-c
    held: 0
    passed: 4
    dispensed: 0
    destroyed: 2
    acknowledged_ms: -
    overdue: no
  - org: agency-d
    held: 2
    passed: 2
    dispensed: 0
    destroyed: 0
    acknowledged_ms: -
    overdue: yes
  - org: hospital-a
    held: 0
    passed: 1
    dispensed: 1
    destroyed: 0
    acknowledged_ms: day 6 00:00:39
    overdue: no
next: -

# A device: an infusion pump of the same maker.  The agency recalls every one of them, whatever
# the lot, thirty hours after it knew: that holds, and is marked as late.  The maker cannot take
# it back; when the agency does, pumps are sold again.
maker-c: supply.commission product="09506000141114" lot=@pumps items=["@pump"] event=@pump-made
agency-d: supply.recall product="09506000141114" level=1 reason=device-fault determined_ms=-30h event=@pump-recall
maker-c: supply.ship items=["@pump"] to=hospital-a event=@pump-sent
maker-c: supply.lift product="09506000141114" event=@pump-lifted
agency-d: supply.lift product="09506000141114" event=@pump-lifted
maker-c: supply.ship items=["@pump"] to=hospital-a event=@pump-sent
hospital-a: supply.receive items=["@pump"] sender=maker-c event=@pump-arrived
ask supply.recalls product="09506000141114"
----
applied
applied
supply-item-recalled
supply-recall-not-yours
applied
applied
applied
total: 1
recalls:
  - lot: -
    org: agency-d
    level: 1
    reason: device-fault
    event: @pump-recall
    determined_ms: day 6 18:00:43
    late: yes
    height: 43
    time_ms: day 8 00:00:43
    lifted_by: agency-d
    lifted_height: 46
    lifted_ms: day 8 00:00:46
next: -

# Where is the pen, who had it, and since when?  And whose was it when the case was on its way,
# when it had arrived, when the patient got it?
ask supply.item item=@pen-1
ask supply.holder item=@pen-1 at_height=height:sent
ask supply.holder item=@pen-1 at_height=height:arrived
ask supply.holder item=@pen-1 at_height=height:dispensed
ask supply.cold item=@pen-3
ask supply.recalls product="09506000141107"
----
known: yes
product: 09506000141107
lot: @lot
owner: hospital-a
status: dispensed
to: -
parent: -
packed: 0
quarantine: clear
recalled: yes
breached: no
steps_total: 8
steps:
  - kind: commission
    org: maker-c
    holder: maker-c
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;1800a47057fc6004d52e3c37478c9d8fe9a58994981b08024832c147a872817a?ver=CBV2.0
    height: 1
    time_ms: day 0 00:00:01
  - kind: aggregate
    org: maker-c
    holder: maker-c
    to: -
    parent: @case
    reason: -
    late: no
    epcis: ni:///sha-256;77111dbcb4bad06c91226bcc21ece4bf45b71e223e8d725aced294a3281cdac5?ver=CBV2.0
    height: 3
    time_ms: day 0 00:00:03
  - kind: ship
    org: maker-c
    holder: maker-c
    to: agency-d
    parent: @case
    reason: -
    late: no
    epcis: ni:///sha-256;4688ed05db3736c7da61760e4e542a0283630f81520c86d7bf0962e79d3f0379?ver=CBV2.0
    height: 5
    time_ms: day 0 00:00:05
  - kind: receive
    org: agency-d
    holder: agency-d
    to: -
    parent: @case
    reason: -
    late: no
    epcis: ni:///sha-256;f9eb3b397bb33aa2010015b1ce515eca95fde6af16fd3a88f2d6153e3dff2ebf?ver=CBV2.0
    height: 9
    time_ms: day 0 00:00:09
  - kind: disaggregate
    org: agency-d
    holder: agency-d
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;9f518ade1a22ad84ef5a011daf2dbe5da964ae18ce7dd276eefe0857e6c5bbda?ver=CBV2.0
    height: 11
    time_ms: day 0 00:00:11
  - kind: ship
    org: agency-d
    holder: agency-d
    to: hospital-a
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;22b4cc9731c05199f6806b89f33b78a203bf3dad3b38ad48aa6124d211a16f31?ver=CBV2.0
    height: 12
    time_ms: day 0 00:00:12
  - kind: receive
    org: hospital-a
    holder: hospital-a
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;8134b7a2dcf42fe94c33ed6c22dcba0789f70ede198e1783b18e640d8a207cb4?ver=CBV2.0
    height: 13
    time_ms: day 0 00:00:13
  - kind: dispense
    org: hospital-a
    holder: hospital-a
    to: -
    parent: -
    reason: -
    late: no
    epcis: ni:///sha-256;1f4d4b233e7c9b03be079e246630c40ab6cc735d4d424ea1a0dc23f94daf896f?ver=CBV2.0
    height: 29
    time_ms: day 6 00:00:29
next: -
known: yes
holder: maker-c
last_kind: ship
last_height: 5
known: yes
holder: agency-d
last_kind: receive
last_height: 9
known: yes
holder: hospital-a
last_kind: dispense
last_height: 29
known: yes
breached: yes
total: 1
stretches:
  - org: agency-d
    root: @fridge
    count: 288
    from_ms: day 4 00:00:20
    until_ms: day 5 00:00:20
    breach: yes
    event: @warm
    height: 20
    time_ms: day 6 00:00:20
next: -
total: 1
recalls:
  - lot: @lot
    org: maker-c
    level: 2
    reason: potency
    event: @recall
    determined_ms: day 5 21:00:32
    late: no
    height: 32
    time_ms: day 6 00:00:32
    lifted_by: -
    lifted_height: -
    lifted_ms: -
next: -
