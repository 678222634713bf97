# Two hospitals, a clinic, a payer and a regulator.  Every one of them came with one key to
# sign with; nothing happened to it yet, so it speaks since height 0.
network clinic-b:author hospital-a:author,custodian hospital-c:author payer-d:payer regulator-r:regulator
ask identity.key.at key=key:hospital-a/identity
ask identity.key.of org=hospital-a
----
key: key:hospital-a/identity
known: yes
org: hospital-a
use: sign
status: active
in_force: yes
flagged: no
from_height: 0
from_ms: 0
retires_ms: -
until_height: -
until_ms: -
compromised_since_ms: -
keys:
  - key: key:hospital-a/identity
    known: yes
    org: hospital-a
    use: sign
    status: active
    in_force: yes
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
  - key: 69fb310f..
    known: yes
    org: hospital-a
    use: seal
    status: active
    in_force: yes
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
next: -

# Hospital A buys a hardware module and wants its key beside the old one.  A key that nobody
# shows to hold is not taken, and neither is one that somebody else uses.
hospital-a: identity.key.add new_key=key:hospital-a/module
hospital-a: identity.key.add new_key=key:clinic-b/identity +clinic-b/identity
hospital-a: identity.key.add new_key=key:hospital-a/module +hospital-a/module
ask identity.key.of org=hospital-a
----
identity-key-unsigned
identity-key-known
applied
keys:
  - key: key:hospital-a/identity
    known: yes
    org: hospital-a
    use: sign
    status: active
    in_force: yes
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
  - key: 69fb310f..
    known: yes
    org: hospital-a
    use: seal
    status: active
    in_force: yes
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
  - key: key:hospital-a/module
    known: yes
    org: hospital-a
    use: sign
    status: active
    in_force: yes
    flagged: no
    from_height: 3
    from_ms: day 0 00:00:03
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
next: -

# Either key signs.  The clinic cannot touch keys of the hospital.
hospital-a/module: record.anchor commitment=@scan tag=@tag:16 canon=2
clinic-b: identity.key.revoke key=key:hospital-a/module
clinic-b: identity.key.rotate old_key=key:hospital-a/module new_key=key:clinic-b/next +clinic-b/next
----
applied
identity-key-unknown
identity-key-unknown

# It names who may help if all is lost: two of three.  Not itself, and nobody unknown.
hospital-a: identity.key.guard guardians=["clinic-b","hospital-a","hospital-c"] needed=2
hospital-a: identity.key.guard guardians=["clinic-b","nobody"] needed=2
hospital-a: identity.key.guard guardians=["clinic-b","hospital-c","regulator-r"] needed=2
----
identity-guard-self
identity-org-unknown
applied

# The first key is rotated with an overlap of two days: jobs that still sign with it go on.
# The old key has to agree.  What is about to retire cannot be rotated again.
hospital-a/module: identity.key.rotate old_key=key:hospital-a/identity new_key=key:hospital-a/second overlap_ms=2d +hospital-a/second
hospital-a: identity.key.rotate old_key=key:hospital-a/identity new_key=key:hospital-a/second overlap_ms=2d +hospital-a/second
hospital-a: identity.key.rotate old_key=key:hospital-a/identity new_key=key:hospital-a/third +hospital-a/third
hospital-a: record.anchor commitment=@scan-2 tag=@tag-2:16 canon=2
----
identity-key-old-unsigned
applied
identity-key-ended
applied

# Two days later the old key is refused at the door, and the new one signs.
later 2d
hospital-a: record.anchor commitment=@scan-3 tag=@tag-3:16 canon=2
hospital-a/second: record.anchor commitment=@scan-3 tag=@tag-3:16 canon=2
ask identity.key.at key=key:hospital-a/identity
----
unknown-signer
applied
key: key:hospital-a/identity
known: yes
org: hospital-a
use: sign
status: retired
in_force: no
flagged: no
from_height: 0
from_ms: 0
retires_ms: -
until_height: 14
until_ms: day 2 00:00:14
compromised_since_ms: -

# The module was opened by a repair firm a day ago.  Its key ends now; what it signed since
# then is flagged, and what it signed before is not.
hospital-a/second: identity.key.revoke key=key:hospital-a/module compromised_since_ms=+1d
hospital-a/second: identity.key.revoke key=key:hospital-a/module compromised_since_ms=1767312000000
hospital-a/module: record.anchor commitment=@scan-4 tag=@tag-4:16 canon=2
ask identity.key.at key=key:hospital-a/module at_height=5
ask identity.key.at key=key:hospital-a/module at_ms=1767226000000
----
identity-key-future
applied
unknown-signer
key: key:hospital-a/module
known: yes
org: hospital-a
use: sign
status: revoked
in_force: yes
flagged: yes
from_height: 3
from_ms: day 0 00:00:03
retires_ms: -
until_height: 18
until_ms: day 2 00:00:18
compromised_since_ms: day 1 00:00:00
key: key:hospital-a/module
known: yes
org: hospital-a
use: sign
status: revoked
in_force: no
flagged: no
from_height: 3
from_ms: day 0 00:00:03
retires_ms: -
until_height: 18
until_ms: day 2 00:00:18
compromised_since_ms: day 1 00:00:00

# Later it turns out that it was earlier.  Saying the same again says nothing.
hospital-a/second: identity.key.revoke key=key:hospital-a/module compromised_since_ms=1767225700000
hospital-a/second: identity.key.revoke key=key:hospital-a/module compromised_since_ms=1767225700000
ask identity.key.at key=key:hospital-a/module at_ms=1767226000000
----
applied
identity-key-ended
key: key:hospital-a/module
known: yes
org: hospital-a
use: sign
status: revoked
in_force: no
flagged: yes
from_height: 3
from_ms: day 0 00:00:03
retires_ms: -
until_height: 18
until_ms: day 2 00:00:18
compromised_since_ms: day 0 00:01:40

# One key is left, and it stays.
hospital-a/second: identity.key.revoke key=key:hospital-a/second
hospital-a/second: identity.key.revoke key=key:hospital-a/never
----
identity-key-last
identity-key-unknown

# A new key for sealed boxes; the old one goes on to open what was sealed before.
hospital-a/second: identity.key.seal new_key=key:hospital-a/seal
hospital-a/second: identity.key.seal new_key=key:hospital-a/seal-2
ask identity.key.history org=hospital-a
----
identity-key-known
applied
keys:
  - key: key:hospital-a/identity
    known: yes
    org: hospital-a
    use: sign
    status: retired
    in_force: no
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: 14
    until_ms: day 2 00:00:14
    compromised_since_ms: -
  - key: key:hospital-a/seal
    known: yes
    org: hospital-a
    use: seal
    status: retired
    in_force: no
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: 25
    until_ms: day 2 00:00:25
    compromised_since_ms: -
  - key: key:hospital-a/module
    known: yes
    org: hospital-a
    use: sign
    status: revoked
    in_force: no
    flagged: yes
    from_height: 3
    from_ms: day 0 00:00:03
    retires_ms: -
    until_height: 18
    until_ms: day 2 00:00:18
    compromised_since_ms: day 0 00:01:40
  - key: key:hospital-a/second
    known: yes
    org: hospital-a
    use: sign
    status: active
    in_force: yes
    flagged: no
    from_height: 11
    from_ms: day 0 00:00:11
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
  - key: key:hospital-a/seal-2
    known: yes
    org: hospital-a
    use: seal
    status: active
    in_force: yes
    flagged: no
    from_height: 25
    from_ms: day 2 00:00:25
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
next: -

# Somebody steals the last key and names friends as guardians.  That takes seven days to come
# into force; meanwhile the guardians that the hospital chose bring it back.  One is too few.
hospital-a/second: identity.key.guard guardians=["hospital-c","payer-d"] needed=2
ask identity.key.guardians org=hospital-a
clinic-b: identity.key.recover org=hospital-a new_key=key:hospital-a/fresh +hospital-a/fresh
clinic-b: identity.key.recover org=hospital-a new_key=key:hospital-a/fresh +hospital-c/identity
clinic-b: identity.key.recover org=payer-d new_key=key:payer-d/fresh +hospital-c/identity
clinic-b: identity.key.recover org=hospital-x new_key=key:hospital-a/fresh +hospital-c/identity
clinic-b: identity.key.recover org=hospital-a new_key=key:hospital-a/fresh compromised_since_ms=1767398410000 +hospital-a/fresh +regulator-r/identity
hospital-a/second: record.anchor commitment=@theft tag=@tag-5:16 canon=2
hospital-a/fresh: record.anchor commitment=@scan-5 tag=@tag-5:16 canon=2
----
applied
current:
  guardians: clinic-b, hospital-c, regulator-r
  needed: 2
  set_height: 9
  set_ms: day 0 00:00:09
  from_ms: day 0 00:00:09
pending:
  guardians: hospital-c, payer-d
  needed: 2
  set_height: 26
  set_ms: day 2 00:00:26
  from_ms: day 9 00:00:26
rows:
  - guardians: clinic-b, hospital-c, regulator-r
    needed: 2
    set_height: 9
    set_ms: day 0 00:00:09
    from_ms: day 0 00:00:09
  - guardians: hospital-c, payer-d
    needed: 2
    set_height: 26
    set_ms: day 2 00:00:26
    from_ms: day 9 00:00:26
next: -
identity-guard-few
identity-key-unsigned
identity-guard-none
identity-org-unknown
applied
unknown-signer
applied

# The thief's guardians never come into force.
later 8d
ask identity.key.guardians org=hospital-a
hospital-c: identity.key.recover org=hospital-a new_key=key:hospital-a/again +hospital-a/again +payer-d/identity
----
current:
  guardians: clinic-b, hospital-c, regulator-r
  needed: 2
  set_height: 9
  set_ms: day 0 00:00:09
  from_ms: day 0 00:00:09
pending: -
rows:
  - guardians: clinic-b, hospital-c, regulator-r
    needed: 2
    set_height: 9
    set_ms: day 0 00:00:09
    from_ms: day 0 00:00:09
  - guardians: hospital-c, payer-d
    needed: 2
    set_height: 26
    set_ms: day 2 00:00:26
    from_ms: day 9 00:00:26
  - guardians: clinic-b, hospital-c, regulator-r
    needed: 2
    set_height: 31
    set_ms: day 2 00:00:31
    from_ms: day 0 00:00:09
next: -
identity-guard-few

# An auditor asks years later which key spoke for the hospital when.
ask identity.key.of org=hospital-a at_height=1
ask identity.key.of org=hospital-a at_height=13
ask identity.key.of org=hospital-a
ask identity.key.at key=key:hospital-a/second
ask identity.key.at key=key:nobody/at-all
----
keys:
  - key: key:hospital-a/identity
    known: yes
    org: hospital-a
    use: sign
    status: retired
    in_force: yes
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: 14
    until_ms: day 2 00:00:14
    compromised_since_ms: -
  - key: key:hospital-a/seal
    known: yes
    org: hospital-a
    use: seal
    status: retired
    in_force: yes
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: 25
    until_ms: day 2 00:00:25
    compromised_since_ms: -
next: -
keys:
  - key: key:hospital-a/identity
    known: yes
    org: hospital-a
    use: sign
    status: retired
    in_force: yes
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: 14
    until_ms: day 2 00:00:14
    compromised_since_ms: -
  - key: key:hospital-a/seal
    known: yes
    org: hospital-a
    use: seal
    status: retired
    in_force: yes
    flagged: no
    from_height: 0
    from_ms: 0
    retires_ms: -
    until_height: 25
    until_ms: day 2 00:00:25
    compromised_since_ms: -
  - key: key:hospital-a/module
    known: yes
    org: hospital-a
    use: sign
    status: revoked
    in_force: yes
    flagged: yes
    from_height: 3
    from_ms: day 0 00:00:03
    retires_ms: -
    until_height: 18
    until_ms: day 2 00:00:18
    compromised_since_ms: day 0 00:01:40
  - key: key:hospital-a/second
    known: yes
    org: hospital-a
    use: sign
    status: revoked
    in_force: yes
    flagged: yes
    from_height: 11
    from_ms: day 0 00:00:11
    retires_ms: -
    until_height: 31
    until_ms: day 2 00:00:31
    compromised_since_ms: day 2 00:00:10
next: -
keys:
  - key: key:hospital-a/seal-2
    known: yes
    org: hospital-a
    use: seal
    status: active
    in_force: yes
    flagged: no
    from_height: 25
    from_ms: day 2 00:00:25
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
  - key: key:hospital-a/fresh
    known: yes
    org: hospital-a
    use: sign
    status: active
    in_force: yes
    flagged: no
    from_height: 31
    from_ms: day 2 00:00:31
    retires_ms: -
    until_height: -
    until_ms: -
    compromised_since_ms: -
next: -
key: key:hospital-a/second
known: yes
org: hospital-a
use: sign
status: revoked
in_force: no
flagged: yes
from_height: 11
from_ms: day 0 00:00:11
retires_ms: -
until_height: 31
until_ms: day 2 00:00:31
compromised_since_ms: day 2 00:00:10
key: key:nobody/at-all
known: no
org: -
use: -
status: -
in_force: no
flagged: no
from_height: 0
from_ms: 0
retires_ms: -
until_height: -
until_ms: -
compromised_since_ms: -
