# Day 0 of the stories is Thursday, 1 January 2026, 00:00 UTC.
network maker:manufacturer wholesale:supplier pharmacy:dispenser hospital:author
----

maker: supply.commission product="09506000134352" lot=@lot-7 items=["@pen-1","@pen-2"] event=@event-1
----
applied

# A pharmacy returns a pen; before it is sold again the wholesaler asks the maker whether it is
# genuine.  The maker has 24 hours.
wholesale: supply.verify.request request=@question-1 responder=maker item=@pen-1 product="09506000134352" lot=@lot-7
wholesale: supply.verify.request request=@question-1 responder=maker item=@pen-1 product="09506000134352"
wholesale: supply.verify.request request=@question-2 responder=hospital item=@pen-1 product="09506000134352"
wholesale: supply.verify.request request=@question-2 responder=maker item=@forged product="09506000134352"
wholesale: supply.verify.request request=@question-3 responder=maker item=@pen-2 product="09506000134352"
ask supply.requests org=maker limit=1
wholesale: supply.verify.answer request=@question-1 verified=true
maker: supply.verify.answer request=@question-9 verified=true
maker: supply.verify.answer request=@question-1 verified=true
maker: supply.verify.answer request=@question-1 verified=true
maker: supply.verify.answer request=@question-2 verified=false reason=unknown-item
ask supply.request request=@question-2
----
applied
supply-request-exists
supply-partner-unfit
applied
applied
total: 3
requests:
  - request:
      request: @question-1
      org: wholesale
      responder: maker
      item: @pen-1
      product: 09506000134352
      lot: @lot-7
      status: open
      opened_height: 2
      opened_ms: day 0 00:00:02
      due_ms: day 1 00:00:02
      verified: no
      reason: -
      answered_height: -
      answered_ms: -
      late: no
    ours: yes
    left_ms: 86396000
    overdue: no
next: 1
supply-request-not-yours
supply-request-unknown
applied
supply-request-answered
applied
known: yes
overdue: no
request:
  request: @question-2
  org: wholesale
  responder: maker
  item: @forged
  product: 09506000134352
  lot: -
  status: answered
  opened_height: 5
  opened_ms: day 0 00:00:05
  due_ms: day 1 00:00:05
  verified: no
  reason: unknown-item
  answered_height: 11
  answered_ms: day 0 00:00:11
  late: no

# A pen that the maker holds for suspect is not called verified.  The clock runs out meanwhile;
# the late answer counts and says that it was late.
maker: supply.suspect items=["@pen-2"] reason=diverted event=@doubt-1
maker: supply.verify.answer request=@question-3 verified=true
later 25h
ask supply.requests org=wholesale
maker: supply.verify.answer request=@question-3 verified=false reason=suspect
ask supply.request request=@question-3
ask supply.requests org=maker
ask supply.request request=@question-9
----
applied
supply-answer-contradicts
total: 1
requests:
  - request:
      request: @question-3
      org: wholesale
      responder: maker
      item: @pen-2
      product: 09506000134352
      lot: -
      status: open
      opened_height: 6
      opened_ms: day 0 00:00:06
      due_ms: day 1 00:00:06
      verified: no
      reason: -
      answered_height: -
      answered_ms: -
      late: yes
    ours: no
    left_ms: 0
    overdue: yes
next: -
applied
known: yes
overdue: no
request:
  request: @question-3
  org: wholesale
  responder: maker
  item: @pen-2
  product: 09506000134352
  lot: -
  status: answered
  opened_height: 6
  opened_ms: day 0 00:00:06
  due_ms: day 1 00:00:06
  verified: no
  reason: suspect
  answered_height: 15
  answered_ms: day 1 01:00:15
  late: yes
total: 0
requests: -
next: -
known: no
overdue: no
request: -

# Friday, 01:00: five pieces came, six were announced.  Three business days: Friday, Monday and
# Tuesday, and then the first hour of Wednesday; the weekend does not count.
pharmacy: supply.exception.open case=@case-1 kind=wrong-quantity against=wholesale event=@event-2
pharmacy: supply.exception.open case=@case-1 kind=wrong-quantity against=wholesale event=@event-2
pharmacy: supply.exception.open case=@case-2 kind=wrong-quantity against=pharmacy event=@event-2
pharmacy: supply.exception.open case=@case-2 kind=product-without-data against=wholesale event=@event-3 quantity=6 item=@pen-7
ask supply.cases org=wholesale
later 3d
ask supply.cases org=pharmacy limit=1
----
applied
supply-exception-exists
supply-partner-unfit
applied
total: 2
cases:
  - case:
      case: @case-1
      kind: wrong-quantity
      org: pharmacy
      against: wholesale
      item: -
      event: @event-2
      quantity: 1
      status: open
      opened_height: 16
      opened_ms: day 1 01:00:16
      due_ms: day 6 01:00:16
      fix_event: -
      fixed_height: -
      fixed_ms: -
      outcome: -
      closed_height: -
      closed_ms: -
      late: no
    ours: yes
    left_ms: 431997000
    overdue: no
  - case:
      case: @case-2
      kind: product-without-data
      org: pharmacy
      against: wholesale
      item: @pen-7
      event: @event-3
      quantity: 6
      status: open
      opened_height: 19
      opened_ms: day 1 01:00:19
      due_ms: day 6 01:00:19
      fix_event: -
      fixed_height: -
      fixed_ms: -
      outcome: -
      closed_height: -
      closed_ms: -
      late: no
    ours: yes
    left_ms: 432000000
    overdue: no
next: -
total: 2
cases:
  - case:
      case: @case-1
      kind: wrong-quantity
      org: pharmacy
      against: wholesale
      item: -
      event: @event-2
      quantity: 1
      status: open
      opened_height: 16
      opened_ms: day 1 01:00:16
      due_ms: day 6 01:00:16
      fix_event: -
      fixed_height: -
      fixed_ms: -
      outcome: -
      closed_height: -
      closed_ms: -
      late: no
    ours: no
    left_ms: 172796000
    overdue: no
next: 1

# The wholesaler corrects its data; only then is "fixed" an outcome.
pharmacy: supply.exception.close case=@case-1 outcome=fixed
pharmacy: supply.exception.fix case=@case-1 event=@event-4
wholesale: supply.exception.fix case=@case-9 event=@event-4
wholesale: supply.exception.fix case=@case-1 event=@event-4
wholesale: supply.exception.fix case=@case-1 event=@event-4
wholesale: supply.exception.close case=@case-1 outcome=fixed
pharmacy: supply.exception.close case=@case-9 outcome=fixed
pharmacy: supply.exception.close case=@case-1 outcome=fixed
pharmacy: supply.exception.close case=@case-1 outcome=fixed
----
supply-exception-unfixed
supply-exception-not-responsible
supply-exception-unknown
applied
supply-exception-not-open
supply-exception-not-opener
supply-exception-unknown
applied
supply-exception-not-open

# Nobody answers to the second one.
later 4d
ask supply.cases org=wholesale
pharmacy: supply.exception.close case=@case-2 outcome=withdrawn
ask supply.cases org=wholesale
ask supply.case case=@case-2
ask supply.case case=@case-9
----
total: 1
cases:
  - case:
      case: @case-2
      kind: product-without-data
      org: pharmacy
      against: wholesale
      item: @pen-7
      event: @event-3
      quantity: 6
      status: open
      opened_height: 19
      opened_ms: day 1 01:00:19
      due_ms: day 6 01:00:19
      fix_event: -
      fixed_height: -
      fixed_ms: -
      outcome: -
      closed_height: -
      closed_ms: -
      late: yes
    ours: yes
    left_ms: 0
    overdue: yes
next: -
applied
total: 0
cases: -
next: -
known: yes
overdue: no
case:
  case: @case-2
  kind: product-without-data
  org: pharmacy
  against: wholesale
  item: @pen-7
  event: @event-3
  quantity: 6
  status: closed
  opened_height: 19
  opened_ms: day 1 01:00:19
  due_ms: day 6 01:00:19
  fix_event: -
  fixed_height: -
  fixed_ms: -
  outcome: withdrawn
  closed_height: 31
  closed_ms: day 8 01:00:31
  late: yes
known: no
overdue: no
case: -
