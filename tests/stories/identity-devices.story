# A pump maker, another maker, two hospitals, a regulator.
network hospital-a:author,custodian hospital-c:author,custodian other-m:manufacturer pumps-m:manufacturer regulator-r:regulator
----

# Firmware comes first, with the digest of its bill of materials.  Whoever publishes for a
# model first answers for it.
pumps-m: identity.device.firmware model="00312345678906" firmware=@fw-1 version=1.0.0 sbom=@sbom-1
pumps-m: identity.device.firmware model="00312345678906" firmware=@fw-1 version=1.0.0 sbom=@sbom-1
other-m: identity.device.firmware model="00312345678906" firmware=@fw-x version=9.9 sbom=@sbom-x
hospital-a: identity.device.firmware model="00312345678906" firmware=@fw-y version=1.0 sbom=@sbom-x
pumps-m: identity.device.firmware model="00312345678906" firmware=@fw-2 version=1.1.0 sbom=@sbom-2
----
applied
identity-firmware-known
identity-model-not-yours
role-missing
applied

# Three pumps are made.  Each signs with the key inside it.
pumps-m: identity.device.register device=@pump-1 model="00312345678906" sign_key=key:pump-1 firmware=@fw-1 serial=@s1 data_classes=[1,2]
pumps-m: identity.device.register device=@pump-1 model="00312345678906" sign_key=key:pump-1 firmware=@fw-0 serial=@s1 data_classes=[1,2] +pump-1
other-m: identity.device.register device=@pump-1 model="00312345678906" sign_key=key:pump-1 firmware=@fw-1 serial=@s1 data_classes=[1,2] +pump-1
pumps-m: identity.device.register device=@pump-1 model="00312345678906" sign_key=key:pump-1 firmware=@fw-1 serial=@s1 data_classes=[1,2] +pump-1
pumps-m: identity.device.register device=@pump-1 model="00312345678906" sign_key=key:pump-9 firmware=@fw-1 serial=@s1 data_classes=[1,2] +pump-9
pumps-m: identity.device.register device=@pump-2 model="00312345678906" sign_key=key:pump-1 firmware=@fw-1 serial=@s2 data_classes=[1,2] +pump-1
pumps-m: identity.device.register device=@pump-2 model="00312345678906" sign_key=key:pump-2 firmware=@fw-1 serial=@s2 data_classes=[1,2] +pump-2
pumps-m: identity.device.register device=@pump-3 model="00312345678906" sign_key=key:pump-3 firmware=@fw-2 serial=@s3 data_classes=[1,2] +pump-3
----
identity-key-unsigned
identity-firmware-unknown
identity-device-not-yours
applied
identity-device-known
identity-key-known
applied
applied

# Hospital A has the first in hand, so the pump signs too.  It goes to a one-time tag.
hospital-a: identity.device.assign device=@pump-1 tag=@anna-1:16
hospital-a: identity.device.assign device=@pump-0 tag=@anna-1:16
hospital-a: identity.device.assign device=@pump-1 tag=@anna-1:16 +pump-1
hospital-c: identity.device.assign device=@pump-1 tag=@bert-1:16 +pump-1
hospital-c: identity.device.assign device=@pump-2 tag=@anna-1:16 +pump-2
hospital-c: identity.device.assign device=@pump-2 tag=@bert-1:16 +pump-2
hospital-c: identity.device.unassign device=@pump-1
hospital-c: identity.device.unassign device=@pump-3
hospital-a: identity.device.assign device=@pump-3 tag=@cora-1:16 +pump-3
ask identity.device.show device=@pump-1
----
identity-device-unsigned
identity-device-unknown
applied
identity-device-worn
identity-tag-used
applied
identity-device-not-yours
identity-device-not-worn
applied
known: yes
usable: yes
refusal: -
device:
  device: @pump-1
  manufacturer: pumps-m
  model: 00312345678906
  sign_key: key:pump-1
  firmware: @fw-1
  data_classes: 1, 2
  status: active
  assigned: @anna-1:16
  custodian: hospital-a
  counter: 0
  since_height: 9
  serial: @s1
version: 1.0.0
quarantine: -

# An update is what the pump says it is, and only what was published.
hospital-c: identity.device.attest device=@pump-2 firmware=@fw-2
hospital-c: identity.device.attest device=@pump-2 firmware=@fw-0 +pump-2
hospital-c: identity.device.attest device=@pump-2 firmware=@fw-2 +pump-2
----
identity-device-unsigned
identity-firmware-unknown
applied

# A weakness is found in 1.0.0.  The maker warns; another maker may not, and nobody warns of
# what does not exist.
other-m: identity.device.advisory advisory=CVE-2026-1234 models=["00312345678906"] firmwares=["@fw-1"] severity=high text=@text
pumps-m: identity.device.advisory advisory=CVE-2026-1234 models=["00000000000000"] firmwares=[] severity=high text=@text
pumps-m: identity.device.advisory advisory=CVE-2026-1234 models=["00312345678906"] firmwares=["@fw-0"] severity=high text=@text
pumps-m: identity.device.advisory advisory=CVE-2026-1234 models=["00312345678906"] firmwares=["@fw-1"] severity=high text=@text
ask identity.advisory.affected org=pumps-m advisory=CVE-2026-1234
----
identity-model-not-yours
identity-target-unknown
identity-target-unknown
applied
known: yes
advisory:
  by: pumps-m
  advisory: CVE-2026-1234
  models: 00312345678906
  firmwares: @fw-1
  severity: high
  text: @text
  height: 29
  time_ms: day 0 00:00:29
devices:
  - device: @pump-1
    model: 00312345678906
    firmware: @fw-1
    version: 1.0.0
    status: active
    usable: yes
    custodian: hospital-a
    assigned: @anna-1:16
looked_at: 3
next: -

# It is worse than that: every version.  The same number again is its next version.
pumps-m: identity.device.advisory advisory=CVE-2026-1234 models=["00312345678906"] firmwares=[] severity=critical text=@text-2
ask identity.advisory.affected org=pumps-m advisory=CVE-2026-1234 custodian=hospital-c
ask identity.advisory.affected org=pumps-m advisory=CVE-2026-1234 start=1 limit=1
ask identity.advisory.affected org=regulator-r advisory=CVE-2026-1234
ask identity.model.advisories model="00312345678906"
----
applied
known: yes
advisory:
  by: pumps-m
  advisory: CVE-2026-1234
  models: 00312345678906
  firmwares: -
  severity: critical
  text: @text-2
  height: 30
  time_ms: day 0 00:00:30
devices:
  - device: @pump-2
    model: 00312345678906
    firmware: @fw-2
    version: 1.1.0
    status: active
    usable: yes
    custodian: hospital-c
    assigned: @bert-1:16
looked_at: 3
next: -
known: yes
advisory:
  by: pumps-m
  advisory: CVE-2026-1234
  models: 00312345678906
  firmwares: -
  severity: critical
  text: @text-2
  height: 30
  time_ms: day 0 00:00:30
devices:
  - device: @pump-2
    model: 00312345678906
    firmware: @fw-2
    version: 1.1.0
    status: active
    usable: yes
    custodian: hospital-c
    assigned: @bert-1:16
looked_at: 1
next: 2
known: no
advisory: -
devices: -
looked_at: 0
next: -
advisories:
  - by: pumps-m
    advisory: CVE-2026-1234
    models: 00312345678906
    firmwares: -
    severity: critical
    text: @text-2
    height: 30
    time_ms: day 0 00:00:30
next: -

# Version 1.0.0 is stopped.  The pump that runs it may not be relied upon any more.
other-m: identity.device.quarantine model="00312345678906" firmware=@fw-1
pumps-m: identity.device.clear model="00312345678906" firmware=@fw-1
pumps-m: identity.device.quarantine model="00312345678906" firmware=@fw-0
pumps-m: identity.device.quarantine model="00312345678906" firmware=@fw-1 advisory=CVE-2026-1234
pumps-m: identity.device.quarantine model="00312345678906" firmware=@fw-1
ask identity.device.show device=@pump-1
----
identity-model-not-yours
identity-quarantine-none
identity-target-unknown
applied
identity-quarantine-known
known: yes
usable: no
refusal: firmware
device:
  device: @pump-1
  manufacturer: pumps-m
  model: 00312345678906
  sign_key: key:pump-1
  firmware: @fw-1
  data_classes: 1, 2
  status: active
  assigned: @anna-1:16
  custodian: hospital-a
  counter: 0
  since_height: 9
  serial: @s1
version: 1.0.0
quarantine:
  by: pumps-m
  regulator: no
  advisory: CVE-2026-1234
  height: 34
  time_ms: day 0 00:00:34

# The regulator takes it over; the maker cannot lift it then.
regulator-r: identity.device.quarantine model="00312345678906" firmware=@fw-1
pumps-m: identity.device.clear model="00312345678906" firmware=@fw-1
ask identity.model.firmware model="00312345678906"
regulator-r: identity.device.clear model="00312345678906" firmware=@fw-1
ask identity.device.show device=@pump-1
----
applied
identity-model-not-yours
manufacturer: pumps-m
firmwares:
  - firmware:
      firmware: @fw-1
      version: 1.0.0
      sbom: @sbom-1
      height: 1
      time_ms: day 0 00:00:01
    quarantine:
      by: regulator-r
      regulator: yes
      advisory: -
      height: 36
      time_ms: day 0 00:00:36
    changes:
      - what: quarantine
        by: regulator-r
        advisory: -
        height: 36
        time_ms: day 0 00:00:36
      - what: quarantine
        by: pumps-m
        advisory: CVE-2026-1234
        height: 34
        time_ms: day 0 00:00:34
  - firmware:
      firmware: @fw-2
      version: 1.1.0
      sbom: @sbom-2
      height: 5
      time_ms: day 0 00:00:05
    quarantine: -
    changes: -
next: -
applied
known: yes
usable: yes
refusal: -
device:
  device: @pump-1
  manufacturer: pumps-m
  model: 00312345678906
  sign_key: key:pump-1
  firmware: @fw-1
  data_classes: 1, 2
  status: active
  assigned: @anna-1:16
  custodian: hospital-a
  counter: 0
  since_height: 9
  serial: @s1
version: 1.0.0
quarantine: -

# Pump 2 misbehaves by itself: its custodian stops it, nobody else's business.  A stopped pump
# can be taken back, and goes to nobody.
hospital-a: identity.device.quarantine device=@pump-2
hospital-c: identity.device.quarantine device=@pump-2
hospital-c: identity.device.unassign device=@pump-2
hospital-c: identity.device.assign device=@pump-2 tag=@dora-1:16 +pump-2
pumps-m: identity.device.clear device=@pump-2
hospital-c: identity.device.clear device=@pump-2
hospital-c: identity.device.assign device=@pump-2 tag=@bert-1:16 +pump-2
hospital-c: identity.device.assign device=@pump-2 tag=@dora-1:16 +pump-2
----
identity-model-not-yours
applied
applied
identity-device-unusable
identity-model-not-yours
applied
identity-tag-used
applied

# Explanted.  The maker cannot retire what a patient wears.
pumps-m: identity.device.retire device=@pump-2
hospital-a: identity.device.retire device=@pump-2
hospital-c: identity.device.retire device=@pump-2
hospital-c: identity.device.attest device=@pump-2 firmware=@fw-2 +pump-2
hospital-c: identity.device.quarantine device=@pump-2
ask identity.device.show device=@pump-2
ask identity.device.wears device=@pump-2
ask identity.device.history device=@pump-2
ask identity.device.show device=@pump-0
ask identity.model.devices model="00312345678906"
----
identity-device-worn
identity-device-not-yours
applied
identity-device-unusable
identity-target-unknown
known: yes
usable: no
refusal: ended
device:
  device: @pump-2
  manufacturer: pumps-m
  model: 00312345678906
  sign_key: key:pump-2
  firmware: @fw-2
  data_classes: 1, 2
  status: ended
  assigned: -
  custodian: hospital-c
  counter: 0
  since_height: 12
  serial: @s2
version: 1.1.0
quarantine: -
wears:
  - tag: @bert-1:16
    custodian: hospital-c
    from_height: 19
    from_ms: day 0 00:00:19
    until_height: 41
    until_ms: day 0 00:00:41
  - tag: @dora-1:16
    custodian: hospital-c
    from_height: 46
    from_ms: day 0 00:00:46
    until_height: 49
    until_ms: day 0 00:00:49
next: -
changes:
  - what: register
    status: active
    firmware: @fw-1
    by: pumps-m
    height: 12
    time_ms: day 0 00:00:12
  - what: attest
    status: active
    firmware: @fw-2
    by: hospital-c
    height: 25
    time_ms: day 0 00:00:25
  - what: quarantine
    status: quarantined
    firmware: @fw-2
    by: hospital-c
    height: 40
    time_ms: day 0 00:00:40
  - what: clear
    status: active
    firmware: @fw-2
    by: hospital-c
    height: 44
    time_ms: day 0 00:00:44
  - what: retire
    status: ended
    firmware: @fw-2
    by: hospital-c
    height: 49
    time_ms: day 0 00:00:49
next: -
known: no
usable: no
refusal: unknown
device: -
version: -
quarantine: -
devices:
  - device: @pump-1
    model: 00312345678906
    firmware: @fw-1
    version: 1.0.0
    status: active
    usable: yes
    custodian: hospital-a
    assigned: @anna-1:16
  - device: @pump-2
    model: 00312345678906
    firmware: @fw-2
    version: 1.1.0
    status: ended
    usable: no
    custodian: hospital-c
    assigned: -
  - device: @pump-3
    model: 00312345678906
    firmware: @fw-2
    version: 1.1.0
    status: active
    usable: yes
    custodian: hospital-a
    assigned: @cora-1:16
looked_at: 3
next: -
