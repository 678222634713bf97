# The doctors of clinic-b send patients to hospital-a: to its heart department, its radiology, its
# laboratory. Half of all referrals in the world end nowhere and nobody notices. Here each has a
# deadline, and is done only when a report exists.
network hospital-a:author,custodian,laboratory clinic-b:author,custodian maker-c:manufacturer,supplier agency-d:regulator,ethics
----

# Four patients. The request itself is in the vault of the clinic; the ledger has its commitment.
# A deadline lies ahead, within two years, and one cannot refer to oneself or to nobody.
clinic-b: referral.open referral=@heart to=hospital-a request=@request-1 deadline_ms=+14d priority=urgent
clinic-b: referral.open referral=@lungs to=hospital-a request=@request-2 deadline_ms=+30d
clinic-b: referral.open referral=@knee to=hospital-a request=@request-3 deadline_ms=+30d
clinic-b: referral.open referral=@skin to=hospital-a request=@request-4 deadline_ms=+30d
clinic-b: referral.open referral=@heart to=hospital-a request=@request-1 deadline_ms=+14d priority=urgent
clinic-b: referral.open referral=@self to=clinic-b request=@request-5 deadline_ms=+30d
clinic-b: referral.open referral=@lost to=hospital-z request=@request-5 deadline_ms=+30d
clinic-b: referral.open referral=@far to=hospital-a request=@request-5 deadline_ms=+1095d
----
applied
applied
applied
applied
referral-exists
referral-party-unknown
referral-party-unknown
referral-deadline-unfit

# The hospital accepts two, has no room for the knee, and the clinic takes the skin back: it was a
# duplicate. Nobody accepts for the hospital, and only who sent it takes it back. What is open then is
# the hospital's list of work.
clinic-b: referral.accept referral=@heart
hospital-a: referral.accept referral=@heart
hospital-a: referral.accept referral=@heart
hospital-a: referral.accept referral=@lungs
hospital-a: referral.decline referral=@knee reason=capacity
hospital-a: referral.cancel referral=@skin reason=duplicate
clinic-b: referral.cancel referral=@skin reason=duplicate
hospital-a: referral.complete referral=@knee record=@knee-report
ask referral.worklist org=hospital-a
----
referral-not-yours
applied
referral-accepted
applied
applied
referral-not-yours
applied
referral-closed
referrals:
  - referral: @heart
    sender: clinic-b
    to: hospital-a
    request: @request-1
    priority: urgent
    opened_height: 1
    opened_ms: day 0 00:00:01
    deadline_ms: day 14 00:00:01
    status: accepted
    overdue_ms: -
    record: -
    root: -
    reason: -
    closed_ms: -
  - referral: @lungs
    sender: clinic-b
    to: hospital-a
    request: @request-2
    priority: routine
    opened_height: 2
    opened_ms: day 0 00:00:02
    deadline_ms: day 30 00:00:02
    status: accepted
    overdue_ms: -
    record: -
    root: -
    reason: -
    closed_ms: -
open: 2
next: -

# The heart patient was seen. "Done" needs the report: one that is on the ledger, the hospital's own,
# younger than the referral, and not taken back.
later 5d
clinic-b: record.anchor commitment=@own-guess tag=@t1:16 canon=2
hospital-a: record.anchor commitment=@wrong-patient tag=@t2:16 canon=2
hospital-a: record.retract commitment=@wrong-patient
hospital-a: referral.complete referral=@heart record=@nothing
hospital-a: referral.complete referral=@heart record=@own-guess
hospital-a: referral.complete referral=@heart record=@wrong-patient
hospital-a: record.anchor commitment=@heart-report tag=@t3:16 canon=2
hospital-a: referral.complete referral=@heart record=@heart-report
hospital-a: referral.complete referral=@heart record=@heart-report
ask referral.story referral=@heart
----
applied
applied
applied
record-unknown
referral-record-foreign
referral-record-void
applied
applied
referral-closed
known: yes
overdue: no
referral:
  referral: @heart
  sender: clinic-b
  to: hospital-a
  request: @request-1
  priority: urgent
  opened_height: 1
  opened_ms: day 0 00:00:01
  deadline_ms: day 14 00:00:01
  status: completed
  overdue_ms: -
  record: @heart-report
  root: -
  reason: -
  closed_ms: day 5 00:00:25
events:
  - what: open
    org: clinic-b
    txid: 09faa9a2..
    height: 1
    time_ms: day 0 00:00:01
  - what: accepted
    org: hospital-a
    txid: e0aa91f0..
    height: 10
    time_ms: day 0 00:00:10
  - what: completed
    org: hospital-a
    txid: c93da02b..
    height: 25
    time_ms: day 5 00:00:25

# A second opinion is not answered with the report that was there before it was asked for.
clinic-b: referral.open referral=@second to=hospital-a request=@request-6 deadline_ms=+20d
hospital-a: referral.complete referral=@second record=@heart-report
hospital-a: referral.decline referral=@second reason=out-of-scope
----
applied
referral-record-older
applied

# The lungs wait. After day 30 the ledger's clock finds the referral not done, in the same block on
# every node: it is overdue, and both sides see it. The clinic calls. Three days later the images are
# there; the referral is done, and that it was late stays.
later 26d
ask referral.worklist org=clinic-b side=sent which=overdue
hospital-a: record.anchor commitment=@lungs-report tag=@t4:16 canon=4
later 3d
hospital-a: referral.complete referral=@lungs record=@lungs-report
----
referrals:
  - referral: @lungs
    sender: clinic-b
    to: hospital-a
    request: @request-2
    priority: routine
    opened_height: 2
    opened_ms: day 0 00:00:02
    deadline_ms: day 30 00:00:02
    status: accepted
    overdue_ms: day 31 00:00:30
    record: -
    root: -
    reason: -
    closed_ms: -
open: 1
next: -
applied
applied

# What people ask. What became of the lungs? Is anything open or overdue that we sent, or that we
# were sent? Nothing is.
ask referral.story referral=@lungs
ask referral.story referral=@knee
ask referral.story referral=@skin
ask referral.worklist org=clinic-b side=sent
ask referral.worklist org=hospital-a which=overdue
----
known: yes
overdue: yes
referral:
  referral: @lungs
  sender: clinic-b
  to: hospital-a
  request: @request-2
  priority: routine
  opened_height: 2
  opened_ms: day 0 00:00:02
  deadline_ms: day 30 00:00:02
  status: completed
  overdue_ms: day 31 00:00:30
  record: @lungs-report
  root: -
  reason: -
  closed_ms: day 34 00:00:33
events:
  - what: open
    org: clinic-b
    txid: d6a15b28..
    height: 2
    time_ms: day 0 00:00:02
  - what: accepted
    org: hospital-a
    txid: d3a616b7..
    height: 12
    time_ms: day 0 00:00:12
  - what: overdue
    org: -
    txid: -
    height: 30
    time_ms: day 31 00:00:30
  - what: completed
    org: hospital-a
    txid: 5df2b6f5..
    height: 33
    time_ms: day 34 00:00:33
known: yes
overdue: no
referral:
  referral: @knee
  sender: clinic-b
  to: hospital-a
  request: @request-3
  priority: routine
  opened_height: 3
  opened_ms: day 0 00:00:03
  deadline_ms: day 30 00:00:03
  status: declined
  overdue_ms: -
  record: -
  root: -
  reason: capacity
  closed_ms: day 0 00:00:13
events:
  - what: open
    org: clinic-b
    txid: 1c6a4047..
    height: 3
    time_ms: day 0 00:00:03
  - what: declined
    org: hospital-a
    txid: 5cf9a74d..
    height: 13
    time_ms: day 0 00:00:13
known: yes
overdue: no
referral:
  referral: @skin
  sender: clinic-b
  to: hospital-a
  request: @request-4
  priority: routine
  opened_height: 4
  opened_ms: day 0 00:00:04
  deadline_ms: day 30 00:00:04
  status: cancelled
  overdue_ms: -
  record: -
  root: -
  reason: duplicate
  closed_ms: day 0 00:00:15
events:
  - what: open
    org: clinic-b
    txid: f01a16de..
    height: 4
    time_ms: day 0 00:00:04
  - what: cancelled
    org: clinic-b
    txid: fa9683ff..
    height: 15
    time_ms: day 0 00:00:15
referrals: -
open: 0
next: -
referrals: -
open: 0
next: -
