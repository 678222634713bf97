# A general practitioner refers patients to a cardiologist and to a radiology; some come back.
network cardiology:author gp:author radiology:author
----

# Three referrals.  One to nobody, one to herself, one due yesterday, one due in three years.
gp: referral.open referral=@heart to=cardiology request=@request-1 deadline_ms=+30d priority=urgent
gp: referral.open referral=@xray to=radiology request=@request-2 deadline_ms=+7d
gp: referral.open referral=@echo to=cardiology request=@request-3 deadline_ms=+14d
gp: referral.open referral=@heart to=cardiology request=@request-1 deadline_ms=+30d
gp: referral.open referral=@lost to=nobody request=@request-4 deadline_ms=+30d
gp: referral.open referral=@self to=gp request=@request-4 deadline_ms=+30d
gp: referral.open referral=@late to=radiology request=@request-4 deadline_ms=1767225600000
gp: referral.open referral=@far to=radiology request=@request-4 deadline_ms=+1095d
ask referral.worklist org=cardiology
----
applied
applied
applied
referral-exists
referral-party-unknown
referral-party-unknown
referral-deadline-unfit
referral-deadline-unfit
referrals:
  - referral: @heart
    sender: gp
    to: cardiology
    request: @request-1
    priority: urgent
    opened_height: 1
    opened_ms: day 0 00:00:01
    deadline_ms: day 30 00:00:01
    status: open
    overdue_ms: -
    record: -
    root: -
    reason: -
    closed_ms: -
  - referral: @echo
    sender: gp
    to: cardiology
    request: @request-3
    priority: routine
    opened_height: 3
    opened_ms: day 0 00:00:03
    deadline_ms: day 14 00:00:03
    status: open
    overdue_ms: -
    record: -
    root: -
    reason: -
    closed_ms: -
open: 2
next: -

# Cardiology takes the heart and has no capacity for the echo.
gp: referral.accept referral=@heart
cardiology: referral.accept referral=@heart
cardiology: referral.accept referral=@heart
cardiology: referral.decline referral=@echo reason=capacity
cardiology: referral.accept referral=@echo
cardiology: referral.accept referral=@unheard-of
cardiology: referral.cancel referral=@heart reason=duplicate
----
referral-not-yours
applied
referral-accepted
applied
referral-closed
referral-unknown
referral-not-yours

# Done is done with a report only: one's own, not older than the referral, and not taken back.
radiology: record.anchor commitment=@foreign-report tag=@t1:16 canon=2
cardiology: referral.complete referral=@heart record=@foreign-report
cardiology: referral.complete referral=@heart record=@nothing
cardiology: record.anchor commitment=@report-wrong tag=@t2:16 canon=2
cardiology: record.retract commitment=@report-wrong
cardiology: referral.complete referral=@heart record=@report-wrong
cardiology: record.anchor commitment=@report tag=@t3:16 canon=2
cardiology: referral.complete referral=@heart record=@report
cardiology: referral.complete referral=@heart record=@report
ask referral.story referral=@heart
----
applied
referral-record-foreign
record-unknown
applied
applied
referral-record-void
applied
applied
referral-closed
known: yes
overdue: no
referral:
  referral: @heart
  sender: gp
  to: cardiology
  request: @request-1
  priority: urgent
  opened_height: 1
  opened_ms: day 0 00:00:01
  deadline_ms: day 30 00:00:01
  status: completed
  overdue_ms: -
  record: @report
  root: -
  reason: -
  closed_ms: day 0 00:00:23
events:
  - what: open
    org: gp
    txid: 5a95050a..
    height: 1
    time_ms: day 0 00:00:01
  - what: accepted
    org: cardiology
    txid: 9cc9bd40..
    height: 10
    time_ms: day 0 00:00:10
  - what: completed
    org: cardiology
    txid: 0af396a3..
    height: 23
    time_ms: day 0 00:00:23

# A second opinion cannot be answered with the report that was there before it was asked for.
gp: referral.open referral=@second to=cardiology request=@request-5 deadline_ms=+30d
cardiology: referral.complete referral=@second record=@report
gp: referral.cancel referral=@second reason=not-needed
----
applied
referral-record-older
applied

# Radiology says nothing for a week: overdue.  It answers two days later.
ask referral.worklist org=radiology which=overdue
later 7d
ask referral.worklist org=radiology which=overdue
ask referral.worklist org=gp side=sent which=overdue
later 2d
radiology: record.anchor commitment=@images tag=@t4:16 canon=4
radiology: referral.complete referral=@xray record=@images
ask referral.story referral=@xray
ask referral.worklist org=gp side=sent
ask referral.worklist org=radiology which=all
ask referral.closure org=gp
ask referral.closure org=cardiology
ask referral.story referral=@unheard-of
----
referrals: -
open: 1
next: -
referrals:
  - referral: @xray
    sender: gp
    to: radiology
    request: @request-2
    priority: routine
    opened_height: 2
    opened_ms: day 0 00:00:02
    deadline_ms: day 7 00:00:02
    status: open
    overdue_ms: day 7 00:00:28
    record: -
    root: -
    reason: -
    closed_ms: -
open: 1
next: -
referrals:
  - referral: @xray
    sender: gp
    to: radiology
    request: @request-2
    priority: routine
    opened_height: 2
    opened_ms: day 0 00:00:02
    deadline_ms: day 7 00:00:02
    status: open
    overdue_ms: day 7 00:00:28
    record: -
    root: -
    reason: -
    closed_ms: -
open: 1
next: -
applied
applied
known: yes
overdue: yes
referral:
  referral: @xray
  sender: gp
  to: radiology
  request: @request-2
  priority: routine
  opened_height: 2
  opened_ms: day 0 00:00:02
  deadline_ms: day 7 00:00:02
  status: completed
  overdue_ms: day 7 00:00:28
  record: @images
  root: -
  reason: -
  closed_ms: day 9 00:00:31
events:
  - what: open
    org: gp
    txid: e030ca28..
    height: 2
    time_ms: day 0 00:00:02
  - what: overdue
    org: -
    txid: -
    height: 28
    time_ms: day 7 00:00:28
  - what: completed
    org: radiology
    txid: f510017e..
    height: 31
    time_ms: day 9 00:00:31
referrals: -
open: 0
next: -
referrals:
  - referral: @xray
    sender: gp
    to: radiology
    request: @request-2
    priority: routine
    opened_height: 2
    opened_ms: day 0 00:00:02
    deadline_ms: day 7 00:00:02
    status: completed
    overdue_ms: day 7 00:00:28
    record: @images
    root: -
    reason: -
    closed_ms: day 9 00:00:31
open: 0
next: -
received:
  opened: 0
  accepted: 0
  declined: 0
  completed: 0
  cancelled: 0
  overdue: 0
received_open: 0
sent:
  opened: 4
  accepted: 1
  declined: 1
  completed: 2
  cancelled: 1
  overdue: 1
sent_open: 0
received:
  opened: 3
  accepted: 1
  declined: 1
  completed: 1
  cancelled: 1
  overdue: 0
received_open: 0
sent:
  opened: 0
  accepted: 0
  declined: 0
  completed: 0
  cancelled: 0
  overdue: 0
sent_open: 0
known: no
overdue: no
referral: -
events: -
