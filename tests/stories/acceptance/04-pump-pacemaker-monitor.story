# Three devices of one maker: an insulin pump, a pacemaker, a monitor on a ward. What they say is
# believed only if the device itself vouches for it, it is not an old message played again, and its
# firmware is not known to be dangerous. In the end everybody knows which devices are affected.
network hospital-a:author,custodian,laboratory clinic-b:author,custodian maker-c:manufacturer,supplier agency-d:regulator,ethics
----

# The maker publishes firmware, with the list of what is in it. Nobody else can for its models.
maker-c: identity.device.firmware model=PUMP04 firmware=@pump-1-0 version=1.0 sbom=@sbom-1
maker-c: identity.device.firmware model=PUMP04 firmware=@pump-1-1 version=1.1 sbom=@sbom-2
maker-c: identity.device.firmware model=PACE04 firmware=@pace-3-2 version=3.2 sbom=@sbom-3
maker-c: identity.device.firmware model=WARD04 firmware=@ward-7 version=7.0 sbom=@sbom-4
hospital-a: identity.device.firmware model=PUMP04 firmware=@patched version=1.2 sbom=@sbom-5
----
applied
applied
applied
applied
role-missing

# Every device is made with a key of its own inside, and signs its own registration. Classes 40 and
# 41 are glucose and doses, 42 heart rhythm, 43 vital signs.
maker-c: identity.device.register device=@pump model=PUMP04 sign_key=key:pump firmware=@pump-1-0 serial=@serial-1 data_classes=[40,41]
maker-c: identity.device.register device=@pump model=PUMP04 sign_key=key:pump firmware=@pump-1-0 serial=@serial-1 data_classes=[40,41] +pump
maker-c: identity.device.register device=@pump-2 model=PUMP04 sign_key=key:pump-2 firmware=@pump-1-0 serial=@serial-2 data_classes=[40,41] +pump-2
maker-c: identity.device.register device=@pace model=PACE04 sign_key=key:pace firmware=@pace-3-2 serial=@serial-3 data_classes=[42] +pace
maker-c: identity.device.register device=@monitor model=WARD04 sign_key=key:monitor firmware=@ward-7 serial=@serial-4 data_classes=[43] +monitor
----
identity-key-unsigned
applied
applied
applied
applied

# The hospital fits one pump and the pacemaker, the clinic the other pump; the monitor stands on the
# hospital's ward. Each goes to a one-time tag: nobody else can tell who wears it. The monitor has no
# strong key chip, so a bedside gateway of the hospital speaks for it.
hospital-a: identity.device.assign device=@pump tag=@anna-1:16 +pump
clinic-b: identity.device.assign device=@pump-2 tag=@bert-1:16 +pump-2
hospital-a: identity.device.assign device=@pace tag=@cora-1:16 +pace
hospital-a: identity.device.assign device=@monitor tag=@bed-12:16 +monitor
hospital-a: telemetry.gateway.register key=key:bedside +bedside
----
applied
applied
applied
applied
applied

# An hour of readings.
moment noon
later 1h
hospital-a: telemetry.batch device=@pump from_ms=time:noon until_ms=time:noon+1h count=12 root=@doses-1 first_counter=1 last_counter=12 firmware=@pump-1-0 data_class=41 recipient=hospital-a +pump
clinic-b: telemetry.batch device=@pump-2 from_ms=time:noon until_ms=time:noon+1h count=12 root=@doses-2 first_counter=1 last_counter=12 firmware=@pump-1-0 data_class=41 recipient=clinic-b +pump-2
hospital-a: telemetry.batch device=@pace from_ms=time:noon until_ms=time:noon+1h count=60 root=@rhythm-1 first_counter=1 last_counter=60 firmware=@pace-3-2 data_class=42 recipient=hospital-a +pace
hospital-a: telemetry.batch device=@monitor from_ms=time:noon until_ms=time:noon+1h count=60 root=@vitals-1 first_counter=1 last_counter=60 firmware=@ward-7 data_class=43 recipient=hospital-a +bedside
----
applied
applied
applied
applied

# Somebody in the car park has recorded the pump's radio and plays it again. The same batch is a
# replay; the same counters with other doses are a roll-back; without the pump's own key it is
# nobody's word, also if it is signed by the gateway of another house.
hospital-a: telemetry.batch device=@pump from_ms=time:noon until_ms=time:noon+1h count=12 root=@doses-1 first_counter=1 last_counter=12 firmware=@pump-1-0 data_class=41 recipient=hospital-a +pump
hospital-a: telemetry.batch device=@pump from_ms=time:noon until_ms=time:noon+1h count=1 root=@doses-x first_counter=12 last_counter=12 firmware=@pump-1-0 data_class=41 recipient=hospital-a +pump
hospital-a: telemetry.batch device=@pump from_ms=time:noon until_ms=time:noon+1h count=1 root=@doses-x first_counter=13 last_counter=13 firmware=@pump-1-0 data_class=41 recipient=hospital-a +stranger
clinic-b: telemetry.batch device=@pump-2 from_ms=time:noon until_ms=time:noon+1h count=1 root=@doses-x first_counter=13 last_counter=13 firmware=@pump-1-0 data_class=41 recipient=clinic-b +bedside
----
telemetry-replayed
telemetry-rolled-back
telemetry-unsigned
telemetry-unsigned

# A pump does not measure heart rhythm, and does not run what it never attested.
hospital-a: telemetry.batch device=@pump from_ms=time:noon until_ms=time:noon+1h count=1 root=@doses-x first_counter=13 last_counter=13 firmware=@pump-1-0 data_class=42 recipient=hospital-a +pump
hospital-a: telemetry.batch device=@pump from_ms=time:noon until_ms=time:noon+1h count=1 root=@doses-x first_counter=13 last_counter=13 firmware=@pump-1-1 data_class=41 recipient=hospital-a +pump
----
telemetry-class-refused
telemetry-firmware-differs

# The monitor skipped thirty readings when the network was down. It is accepted, and the gap is kept.
# The pacemaker raises an alert, which the ward has to answer within ten minutes, and does.
hospital-a: telemetry.batch device=@monitor from_ms=time:noon until_ms=time:noon+1h count=30 root=@vitals-2 first_counter=91 last_counter=120 firmware=@ward-7 data_class=43 recipient=hospital-a +bedside
hospital-a: telemetry.alert alert=@pause device=@pace threshold=@rule:16 commitment=@event recipient=hospital-a answer_ms=10min data_class=42 +pace
clinic-b: telemetry.ack alert=@pause action=seen
hospital-a: telemetry.ack alert=@pause action=treated
ask telemetry.gaps device=@monitor
----
applied
applied
telemetry-not-recipient
applied
total: 1
gaps:
  - after: 60
    before: 91
    batch: 1
    height: 27
    time_ms: day 0 01:00:27
next: -

# A researcher finds that firmware 1.0 of the pump takes commands from anybody near. The maker warns
# of it; nobody warns of what is not there. Which devices are affected, and whom to call?
maker-c: identity.device.advisory advisory=CVE-2026-4004 models=["PUMP04"] firmwares=["@pump-9"] severity=critical text=@text
maker-c: identity.device.advisory advisory=CVE-2026-4004 models=["PUMP04"] firmwares=["@pump-1-0"] severity=critical text=@text
ask identity.advisory.affected org=maker-c advisory=CVE-2026-4004
----
identity-target-unknown
applied
known: yes
advisory:
  by: maker-c
  advisory: CVE-2026-4004
  models: PUMP04
  firmwares: @pump-1-0
  severity: critical
  text: @text
  height: 32
  time_ms: day 0 01:00:32
devices:
  - device: @pump
    model: PUMP04
    firmware: @pump-1-0
    version: 1.0
    status: active
    usable: yes
    custodian: hospital-a
    assigned: @anna-1:16
  - device: @pump-2
    model: PUMP04
    firmware: @pump-1-0
    version: 1.0
    status: active
    usable: yes
    custodian: clinic-b
    assigned: @bert-1:16
looked_at: 2
next: -

# The agency takes firmware 1.0 out of use. From this block on no word of such a pump counts, in any
# house; the maker cannot lift it.
agency-d: identity.device.quarantine model=PUMP04 firmware=@pump-1-0 advisory=CVE-2026-4004
hospital-a: telemetry.batch device=@pump from_ms=time:noon until_ms=time:noon+1h count=1 root=@doses-3 first_counter=13 last_counter=13 firmware=@pump-1-0 data_class=41 recipient=hospital-a +pump
clinic-b: telemetry.alert alert=@low device=@pump-2 threshold=@rule:16 commitment=@event recipient=clinic-b answer_ms=10min data_class=41 +pump-2
maker-c: identity.device.clear model=PUMP04 firmware=@pump-1-0
ask telemetry.device device=@pump
----
applied
telemetry-firmware-quarantined
telemetry-firmware-quarantined
identity-model-not-yours
known: yes
refusal: firmware
model: PUMP04
firmware: @pump-1-0
data_classes: 40, 41
counter: 12
batches: 1
gaps: 0

# The hospital updates its pump: the pump itself attests what it runs now, and is heard again. The
# clinic's pump is the one that is left.
hospital-a: identity.device.attest device=@pump firmware=@pump-1-1 +pump
hospital-a: telemetry.batch device=@pump from_ms=time:noon until_ms=time:noon+1h count=1 root=@doses-3 first_counter=13 last_counter=13 firmware=@pump-1-1 data_class=41 recipient=hospital-a +pump
----
applied
applied

# What people ask. Which devices does the warning still concern? May the clinic's pump be used? What
# ran on the hospital's pump, and when? What did it report? The replays left no trace in its batches:
# each refused attempt stays on the ledger as a failed transaction with its code (GET /v1/events).
ask identity.advisory.affected org=maker-c advisory=CVE-2026-4004
ask identity.device.show device=@pump-2
ask identity.device.history device=@pump
ask telemetry.batches device=@pump
ask telemetry.device device=@pace
----
known: yes
advisory:
  by: maker-c
  advisory: CVE-2026-4004
  models: PUMP04
  firmwares: @pump-1-0
  severity: critical
  text: @text
  height: 32
  time_ms: day 0 01:00:32
devices:
  - device: @pump-2
    model: PUMP04
    firmware: @pump-1-0
    version: 1.0
    status: active
    usable: no
    custodian: clinic-b
    assigned: @bert-1:16
looked_at: 2
next: -
known: yes
usable: no
refusal: firmware
device:
  device: @pump-2
  manufacturer: maker-c
  model: PUMP04
  sign_key: key:pump-2
  firmware: @pump-1-0
  data_classes: 40, 41
  status: active
  assigned: @bert-1:16
  custodian: clinic-b
  counter: 12
  since_height: 8
  serial: @serial-2
version: 1.0
quarantine:
  by: agency-d
  regulator: yes
  advisory: CVE-2026-4004
  height: 33
  time_ms: day 0 01:00:33
changes:
  - what: register
    status: active
    firmware: @pump-1-0
    by: maker-c
    height: 7
    time_ms: day 0 00:00:07
  - what: attest
    status: active
    firmware: @pump-1-1
    by: hospital-a
    height: 37
    time_ms: day 0 01:00:37
next: -
total: 2
batches:
  - org: hospital-a
    gateway: -
    from_ms: day 0 00:00:16
    until_ms: day 0 01:00:16
    count: 12
    root: @doses-1
    first_counter: 1
    last_counter: 12
    firmware: @pump-1-0
    data_class: 41
    recipient: hospital-a
    subject: -
    basis: -
    txid: 4862de72..
    height: 17
    time_ms: day 0 01:00:17
  - org: hospital-a
    gateway: -
    from_ms: day 0 00:00:16
    until_ms: day 0 01:00:16
    count: 1
    root: @doses-3
    first_counter: 13
    last_counter: 13
    firmware: @pump-1-1
    data_class: 41
    recipient: hospital-a
    subject: -
    basis: -
    txid: d8a7ab53..
    height: 38
    time_ms: day 0 01:00:38
next: -
known: yes
refusal: -
model: PACE04
firmware: @pace-3-2
data_classes: 42
counter: 60
batches: 1
gaps: 0
