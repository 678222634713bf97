# Anna's insulin pump reports to the clinic that fitted it, and with her consent to the diabetes
# centre.  Somebody replays, a firmware turns out to be dangerous, an alert goes unanswered.
network clinic-a:author,custodian diabetes-centre:author pump-maker:manufacturer watchdog:regulator
----

# The maker publishes a firmware and registers the pump; the clinic binds Anna and fits the pump.
pump-maker: identity.device.firmware model=B066000325011 firmware=@fw-1 version=1.0 sbom=@sbom-1
pump-maker: identity.device.register device=@pump model=B066000325011 sign_key=key:pump firmware=@fw-1 serial=@serial data_classes=[40,41] +pump
clinic-a: identity.patient.bind subject=@anna sign_key=key:anna seal_key=@seal level=2 +anna
clinic-a: identity.device.assign device=@pump tag=@wear:16 +pump
----
applied
applied
applied
applied

# A day of readings, signed by the pump itself.  The clinic is its custodian: no consent asked.
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=4 root=@readings-1 first_counter=1 last_counter=4 firmware=@fw-1 data_class=40 recipient=clinic-a +pump
----
applied

# The same batch again is a replay; another one with old counters is a roll-back.
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=4 root=@readings-1 first_counter=1 last_counter=4 firmware=@fw-1 data_class=40 recipient=clinic-a +pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-x first_counter=4 last_counter=4 firmware=@fw-1 data_class=40 recipient=clinic-a +pump
----
telemetry-replayed
telemetry-rolled-back

# Nobody else can speak for the pump, until the clinic registers its bedside gateway.
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-2 first_counter=7 last_counter=9 firmware=@fw-1 data_class=40 recipient=clinic-a +bedside
clinic-a: telemetry.gateway.register key=key:bedside
diabetes-centre: telemetry.gateway.register key=key:foreign +foreign
clinic-a: telemetry.gateway.register key=key:bedside +bedside
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-2 first_counter=7 last_counter=9 firmware=@fw-1 data_class=40 recipient=clinic-a +foreign
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-2 first_counter=7 last_counter=9 firmware=@fw-1 data_class=40 recipient=clinic-a +bedside
----
telemetry-unsigned
identity-key-unsigned
applied
applied
telemetry-unsigned
applied

# What the pump is not made for, what it does not run, what has not happened yet, unknown things.
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-3 first_counter=10 last_counter=10 firmware=@fw-1 data_class=7 recipient=clinic-a +pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-3 first_counter=10 last_counter=10 firmware=@fw-9 data_class=40 recipient=clinic-a +pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=+1d count=1 root=@readings-3 first_counter=10 last_counter=10 firmware=@fw-1 data_class=40 recipient=clinic-a +pump
clinic-a: telemetry.batch device=@toaster from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-3 first_counter=10 last_counter=10 firmware=@fw-1 data_class=40 recipient=clinic-a +pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-3 first_counter=10 last_counter=10 firmware=@fw-1 data_class=40 recipient=nobody +pump
----
telemetry-class-refused
telemetry-firmware-differs
telemetry-window-ahead
telemetry-device-unknown
telemetry-recipient-unknown

# The diabetes centre is not the custodian: whose data it is must be said, and she must permit it.
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-3 first_counter=10 last_counter=10 firmware=@fw-1 data_class=40 recipient=diabetes-centre +pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-3 first_counter=10 last_counter=10 firmware=@fw-1 data_class=40 recipient=diabetes-centre subject=@anna +pump
clinic-a: consent.grant cid=@consent:16 subject=@anna rule='{"permit":true,"scope":{"orgs":["diabetes-centre"],"purposes":["TREAT"],"classes":[40]}}' +anna
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-3 first_counter=10 last_counter=10 firmware=@fw-1 data_class=40 recipient=diabetes-centre subject=@anna +pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-4 first_counter=11 last_counter=11 firmware=@fw-1 data_class=41 recipient=diabetes-centre subject=@anna +pump
----
telemetry-subject-missing
telemetry-consent-missing
applied
applied
telemetry-consent-missing

# What the pump shared, and with whom; what never came; which gateways there are.
ask telemetry.batches device=@pump
ask telemetry.gaps device=@pump
ask telemetry.gateways org=clinic-a
----
total: 3
batches:
  - org: clinic-a
    gateway: -
    from_ms: day 0 00:00:00
    until_ms: day 0 00:00:04
    count: 4
    root: @readings-1
    first_counter: 1
    last_counter: 4
    firmware: @fw-1
    data_class: 40
    recipient: clinic-a
    subject: -
    basis: -
    txid: bc781084..
    height: 5
    time_ms: day 0 00:00:05
  - org: clinic-a
    gateway: key:bedside
    from_ms: day 0 00:00:00
    until_ms: day 0 00:00:04
    count: 1
    root: @readings-2
    first_counter: 7
    last_counter: 9
    firmware: @fw-1
    data_class: 40
    recipient: clinic-a
    subject: -
    basis: -
    txid: 3a50b1b6..
    height: 13
    time_ms: day 0 00:00:13
  - org: clinic-a
    gateway: -
    from_ms: day 0 00:00:00
    until_ms: day 0 00:00:04
    count: 1
    root: @readings-3
    first_counter: 10
    last_counter: 10
    firmware: @fw-1
    data_class: 40
    recipient: diabetes-centre
    subject: @anna
    basis: @consent:16
    txid: 6ec808fe..
    height: 22
    time_ms: day 0 00:00:22
next: -
total: 1
gaps:
  - after: 4
    before: 7
    batch: 1
    height: 13
    time_ms: day 0 00:00:13
next: -
gateways:
  - key: key:bedside
    row:
      org: clinic-a
      from_height: 11
      from_ms: day 0 00:00:11
      until_height: -
      until_ms: -
next: -

# An alert: the centre has ten minutes to answer.  Nobody does; the next one is answered in time.
clinic-a: telemetry.alert alert=@low device=@pump threshold=@rule:16 commitment=@event-1 recipient=diabetes-centre answer_ms=10min data_class=40 subject=@anna +pump
clinic-a: telemetry.alert alert=@low device=@pump threshold=@rule:16 commitment=@event-1 recipient=diabetes-centre answer_ms=10min data_class=40 subject=@anna +pump
clinic-a: telemetry.ack alert=@low action=seen
diabetes-centre: telemetry.ack alert=@high action=seen
ask telemetry.alerts org=diabetes-centre
ask telemetry.alerts org=diabetes-centre which=unanswered
later 10min
ask telemetry.alerts org=diabetes-centre which=unanswered
clinic-a: telemetry.alert alert=@high device=@pump threshold=@rule:16 commitment=@event-2 recipient=diabetes-centre answer_ms=10min data_class=40 subject=@anna +bedside
diabetes-centre: telemetry.ack alert=@high action=treated
diabetes-centre: telemetry.ack alert=@low action=patient-contacted
diabetes-centre: telemetry.ack alert=@low action=seen
ask telemetry.alerts org=diabetes-centre
ask telemetry.alerts org=diabetes-centre which=all
----
applied
telemetry-alert-exists
telemetry-not-recipient
telemetry-alert-unknown
alerts:
  - alert: @low
    device: @pump
    threshold: @rule:16
    commitment: @event-1
    org: clinic-a
    recipient: diabetes-centre
    data_class: 40
    subject: @anna
    raised_height: 24
    raised_ms: day 0 00:00:24
    due_ms: day 0 00:10:24
    unanswered_ms: -
    action: -
    answered_height: -
    answered_ms: -
open: 1
counts:
  raised: 1
  in_time: 0
  late: 0
  ran_out: 0
next: -
alerts: -
open: 1
counts:
  raised: 1
  in_time: 0
  late: 0
  ran_out: 0
next: -
alerts:
  - alert: @low
    device: @pump
    threshold: @rule:16
    commitment: @event-1
    org: clinic-a
    recipient: diabetes-centre
    data_class: 40
    subject: @anna
    raised_height: 24
    raised_ms: day 0 00:00:24
    due_ms: day 0 00:10:24
    unanswered_ms: day 0 00:10:28
    action: -
    answered_height: -
    answered_ms: -
open: 1
counts:
  raised: 1
  in_time: 0
  late: 0
  ran_out: 1
next: -
applied
applied
applied
telemetry-alert-answered
alerts: -
open: 0
counts:
  raised: 2
  in_time: 1
  late: 1
  ran_out: 1
next: -
alerts:
  - alert: @low
    device: @pump
    threshold: @rule:16
    commitment: @event-1
    org: clinic-a
    recipient: diabetes-centre
    data_class: 40
    subject: @anna
    raised_height: 24
    raised_ms: day 0 00:00:24
    due_ms: day 0 00:10:24
    unanswered_ms: day 0 00:10:28
    action: patient-contacted
    answered_height: 31
    answered_ms: day 0 00:10:31
  - alert: @high
    device: @pump
    threshold: @rule:16
    commitment: @event-2
    org: clinic-a
    recipient: diabetes-centre
    data_class: 40
    subject: @anna
    raised_height: 29
    raised_ms: day 0 00:10:29
    due_ms: day 0 00:20:29
    unanswered_ms: -
    action: treated
    answered_height: 30
    answered_ms: day 0 00:10:30
open: 0
counts:
  raised: 2
  in_time: 1
  late: 1
  ran_out: 1
next: -

# The firmware is found to accept commands from anybody, and is quarantined: no word of the pump
# counts until it runs another.
watchdog: identity.device.quarantine model=B066000325011 firmware=@fw-1
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-5 first_counter=12 last_counter=12 firmware=@fw-1 data_class=40 recipient=clinic-a +pump
clinic-a: telemetry.alert alert=@third device=@pump threshold=@rule:16 commitment=@event-3 recipient=clinic-a answer_ms=10min data_class=40 +pump
ask telemetry.device device=@pump
pump-maker: identity.device.firmware model=B066000325011 firmware=@fw-2 version=1.1 sbom=@sbom-2
pump-maker: identity.device.attest device=@pump firmware=@fw-2 +pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-5 first_counter=12 last_counter=12 firmware=@fw-2 data_class=40 recipient=clinic-a +pump
----
applied
telemetry-firmware-quarantined
telemetry-firmware-quarantined
known: yes
refusal: firmware
model: B066000325011
firmware: @fw-1
data_classes: 40, 41
counter: 10
batches: 3
gaps: 1
applied
applied
applied

# The gateway is put out of use; this pump is quarantined, then retired.
diabetes-centre: telemetry.gateway.end key=key:bedside
clinic-a: telemetry.gateway.end key=key:bedside
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-6 first_counter=13 last_counter=13 firmware=@fw-2 data_class=40 recipient=clinic-a +bedside
watchdog: identity.device.quarantine device=@pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-6 first_counter=13 last_counter=13 firmware=@fw-2 data_class=40 recipient=clinic-a +pump
watchdog: identity.device.clear device=@pump
clinic-a: identity.device.retire device=@pump
clinic-a: telemetry.batch device=@pump from_ms=1767225600000 until_ms=1767225604000 count=1 root=@readings-6 first_counter=13 last_counter=13 firmware=@fw-2 data_class=40 recipient=clinic-a +pump
ask telemetry.device device=@pump
----
telemetry-gateway-unknown
applied
telemetry-unsigned
applied
telemetry-device-quarantined
applied
applied
telemetry-device-ended
known: yes
refusal: ended
model: B066000325011
firmware: @fw-2
data_classes: 40, 41
counter: 12
batches: 4
gaps: 2
