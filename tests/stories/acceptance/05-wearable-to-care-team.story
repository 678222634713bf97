# Eva's heart was treated at hospital-a; she wears a watch at home. Clinic-b, round the corner, is
# her care team. What the watch sends goes there only as far as Eva allows: this class of data, for
# these weeks. What it warns of, somebody has to answer, and it shows if nobody does.
network hospital-a:author,custodian,laboratory clinic-b:author,custodian maker-c:manufacturer,supplier agency-d:regulator,ethics
agency-d: consent.policy.publish policy=watch-05 kind=overarching digest=@leaflet default=deny
hospital-a: identity.patient.bind subject=@eva sign_key=key:eva seal_key=@eva-box level=2 +eva
maker-c: identity.device.firmware model=WATCH05 firmware=@watch-os version=5.1 sbom=@sbom
maker-c: identity.device.register device=@watch model=WATCH05 sign_key=key:watch firmware=@watch-os serial=@serial data_classes=[42,44] +watch
hospital-a: identity.device.assign device=@watch tag=@wrist:16 +watch
----
applied
applied
applied
applied
applied

# A first day. To hospital-a, which gave it to her, the watch reports as part of her treatment. The
# care team gets nothing yet: it has to be said whose data it is, and Eva has permitted nothing.
# Class 42 is heart rhythm, class 44 where she was and how she slept.
moment sunday
later 1d
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+1d count=24 root=@rhythm-1 first_counter=1 last_counter=24 firmware=@watch-os data_class=42 recipient=hospital-a +watch
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+1d count=24 root=@rhythm-2 first_counter=25 last_counter=48 firmware=@watch-os data_class=42 recipient=clinic-b +watch
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+1d count=24 root=@rhythm-2 first_counter=25 last_counter=48 firmware=@watch-os data_class=42 recipient=clinic-b subject=@eva +watch
----
applied
telemetry-subject-missing
telemetry-consent-missing

# Eva permits heart rhythm, to clinic-b, for treatment, for three weeks. Her sleep is not in it.
clinic-b: consent.grant cid=@share:16 subject=@eva rule={"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"],"classes":[42],"until_ms":"+21d"}} +eva
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+1d count=24 root=@rhythm-2 first_counter=25 last_counter=48 firmware=@watch-os data_class=42 recipient=clinic-b subject=@eva +watch
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+1d count=24 root=@sleep-1 first_counter=49 last_counter=72 firmware=@watch-os data_class=44 recipient=clinic-b subject=@eva +watch
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+1d count=24 root=@rhythm-3 first_counter=49 last_counter=72 firmware=@watch-os data_class=42 recipient=maker-c subject=@eva +watch
----
applied
applied
telemetry-consent-missing
telemetry-consent-missing

# At night the watch sees a rhythm that it should not. The care team has fifteen minutes. It answers
# in ten, and only it can answer.
hospital-a: telemetry.alert alert=@night-1 device=@watch threshold=@rule:16 commitment=@event-1 recipient=clinic-b answer_ms=15min data_class=42 subject=@eva +watch
later 10min
hospital-a: telemetry.ack alert=@night-1 action=seen
clinic-b: telemetry.ack alert=@night-1 action=patient-contacted
----
applied
telemetry-not-recipient
applied

# The next night nobody is at the desk. After fifteen minutes the ledger's clock says so, on every
# node in the same block; the answer in the morning comes late, and is written down as late.
later 1d
hospital-a: telemetry.alert alert=@night-2 device=@watch threshold=@rule:16 commitment=@event-2 recipient=clinic-b answer_ms=15min data_class=42 subject=@eva +watch
later 20min
ask telemetry.alerts org=clinic-b which=unanswered
later 5h
clinic-b: telemetry.ack alert=@night-2 action=patient-contacted
clinic-b: telemetry.ack alert=@night-2 action=false-alarm
----
applied
alerts:
  - alert: @night-2
    device: @watch
    threshold: @rule:16
    commitment: @event-2
    org: hospital-a
    recipient: clinic-b
    data_class: 42
    subject: @eva
    raised_height: 19
    raised_ms: day 2 00:10:19
    due_ms: day 2 00:25:19
    unanswered_ms: day 2 00:30:20
    action: -
    answered_height: -
    answered_ms: -
open: 1
counts:
  raised: 2
  in_time: 1
  late: 0
  ran_out: 1
next: -
applied
telemetry-alert-answered

# Eva does not like that. She revokes; what was shared stays shared, and nothing more goes out, not
# even an alert. She thinks again, and permits alerts and rhythm for one more week.
clinic-b: consent.revoke cid=@share:16 +eva
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+2d count=24 root=@rhythm-4 first_counter=49 last_counter=72 firmware=@watch-os data_class=42 recipient=clinic-b subject=@eva +watch
hospital-a: telemetry.alert alert=@night-3 device=@watch threshold=@rule:16 commitment=@event-3 recipient=clinic-b answer_ms=15min data_class=42 subject=@eva +watch
clinic-b: consent.grant cid=@share-2:16 subject=@eva rule={"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"],"classes":[42],"until_ms":"+7d"}} +eva
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+2d count=24 root=@rhythm-4 first_counter=49 last_counter=72 firmware=@watch-os data_class=42 recipient=clinic-b subject=@eva +watch
----
applied
telemetry-consent-missing
telemetry-consent-missing
applied
applied

# The week passes. No node sends anything on by habit: the consent ended by ledger time.
later 8d
hospital-a: telemetry.batch device=@watch from_ms=time:sunday until_ms=time:sunday+3d count=24 root=@rhythm-5 first_counter=73 last_counter=96 firmware=@watch-os data_class=42 recipient=clinic-b subject=@eva +watch
----
telemetry-consent-missing

# What the care team asks: which alerts were there, which went unanswered? What Eva asks: what did
# my watch share, with whom, by which consent? And what have I permitted by now?
ask telemetry.alerts org=clinic-b which=all
ask telemetry.batches device=@watch
ask consent.list subject=@eva
----
alerts:
  - alert: @night-1
    device: @watch
    threshold: @rule:16
    commitment: @event-1
    org: hospital-a
    recipient: clinic-b
    data_class: 42
    subject: @eva
    raised_height: 14
    raised_ms: day 1 00:00:14
    due_ms: day 1 00:15:14
    unanswered_ms: -
    action: patient-contacted
    answered_height: 17
    answered_ms: day 1 00:10:17
  - alert: @night-2
    device: @watch
    threshold: @rule:16
    commitment: @event-2
    org: hospital-a
    recipient: clinic-b
    data_class: 42
    subject: @eva
    raised_height: 19
    raised_ms: day 2 00:10:19
    due_ms: day 2 00:25:19
    unanswered_ms: day 2 00:30:20
    action: patient-contacted
    answered_height: 22
    answered_ms: day 2 05:30:22
open: 0
counts:
  raised: 2
  in_time: 1
  late: 1
  ran_out: 1
next: -
total: 3
batches:
  - org: hospital-a
    gateway: -
    from_ms: day 0 00:00:06
    until_ms: day 1 00:00:06
    count: 24
    root: @rhythm-1
    first_counter: 1
    last_counter: 24
    firmware: @watch-os
    data_class: 42
    recipient: hospital-a
    subject: -
    basis: -
    txid: 9f73f0d8..
    height: 7
    time_ms: day 1 00:00:07
  - org: hospital-a
    gateway: -
    from_ms: day 0 00:00:06
    until_ms: day 1 00:00:06
    count: 24
    root: @rhythm-2
    first_counter: 25
    last_counter: 48
    firmware: @watch-os
    data_class: 42
    recipient: clinic-b
    subject: @eva
    basis: @share:16
    txid: a7dd6b78..
    height: 11
    time_ms: day 1 00:00:11
  - org: hospital-a
    gateway: -
    from_ms: day 0 00:00:06
    until_ms: day 2 00:00:06
    count: 24
    root: @rhythm-4
    first_counter: 49
    last_counter: 72
    firmware: @watch-os
    data_class: 42
    recipient: clinic-b
    subject: @eva
    basis: @share-2:16
    txid: 2623a25d..
    height: 28
    time_ms: day 2 05:30:28
next: -
known: yes
count: 2
opted_out: -
consents:
  - cid: @share:16
    version: 1
    status: revoked
    permit: yes
    purposes: TREAT
    how: signed
    policy: -
    from_ms: day 1 00:00:10
    until_ms: day 2 05:30:24
  - cid: @share-2:16
    version: 1
    status: expired
    permit: yes
    purposes: TREAT
    how: signed
    policy: -
    from_ms: day 2 05:30:27
    until_ms: day 9 05:30:27
next: -
