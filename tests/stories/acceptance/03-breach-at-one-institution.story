# A laptop of clinic-b that signs for a branch is stolen on a Friday. It is found out on Tuesday.
# This story: the clinic ends that key, says since when it was in other hands, and everybody can
# tell for good what was signed before and what after. The law's clocks run meanwhile.
network hospital-a:author,custodian,laboratory clinic-b:author,custodian maker-c:manufacturer,supplier agency-d:regulator,ethics
clinic-b: identity.key.add new_key=key:clinic-b/branch
clinic-b: identity.key.add new_key=key:clinic-b/branch +clinic-b/branch
----
identity-key-unsigned
applied

# A week of work that is in order: the branch anchors a record, and issues a nurse's licence.
clinic-b/branch: record.anchor commitment=@visit-1 tag=@t1:16 canon=2
clinic-b/branch: identity.practitioner.issue licence=@nurse profession=nurse from_ms=+0d until_ms=+365d
moment monday
later 3d
moment thursday
later 1d
moment friday
----
applied
applied

# On Friday the laptop is gone. Whoever has it now anchors a record of their own, retracts one
# of the clinic, and issues a licence to somebody who is no doctor.
later 1d
clinic-b/branch: record.anchor commitment=@forged tag=@t2:16 canon=2
clinic-b/branch: record.retract commitment=@visit-1
clinic-b/branch: identity.practitioner.issue licence=@quack profession=specialist-physician from_ms=+0d until_ms=+365d
moment saturday
----
applied
applied
applied

# Tuesday. Another institution cannot end the clinic's key, and the theft is not in the future. The
# clinic revokes it and says since when it is not to be trusted.
later 3d
moment tuesday
hospital-a: identity.key.revoke key=key:clinic-b/branch compromised_since_ms=time:friday
clinic-b: identity.key.revoke key=key:clinic-b/branch compromised_since_ms=+1d
clinic-b: identity.key.revoke key=key:clinic-b/branch compromised_since_ms=time:friday
clinic-b/branch: record.anchor commitment=@forged-2 tag=@t3:16 canon=2
clinic-b: identity.key.add new_key=key:clinic-b/branch +clinic-b/branch
----
identity-key-unknown
identity-key-future
applied
unknown-signer
identity-key-known

# The clinic reports the breach: the European authority within 72 hours, counted from when it knew;
# its patients in America within 60 days. It names the key. Nobody else may report in its name.
clinic-b: governance.incident.report incident=@theft kind=integrity regimes=["gdpr","hipaa"] affected=unknown aware_ms=+1d commitment=@report-1 key=key:clinic-b/branch
clinic-b: governance.incident.report incident=@theft kind=integrity regimes=["gdpr","hipaa"] affected=unknown aware_ms=time:tuesday commitment=@report-1 key=key:clinic-b/branch
hospital-a: governance.incident.update incident=@theft commitment=@report-x
ask governance.breach incident=@theft
----
governance-incident-in-future
applied
governance-incident-not-yours
known: yes
incident: @theft
org: clinic-b
kind: integrity
regimes: gdpr, hipaa
affected: unknown
key: key:clinic-b/branch
aware_ms: day 8 00:00:12
reported_height: 18
reported_ms: day 8 00:00:18
clocks:
  - duty:
      code: gdpr-authority
      due_ms: day 11 00:00:12
      status: waiting
      overdue: no
      settled_ms: -
    left_ms: 259193000
  - duty:
      code: hipaa-persons
      due_ms: day 68 00:00:12
      status: waiting
      overdue: no
      settled_ms: -
    left_ms: 5183993000
overdue: no
reports:
  - commitment: @report-1
    affected: unknown
    from_height: 18
    from_ms: day 8 00:00:18
    txid: fa154b70..
closed_ms: -
next: -

# It repairs what the thief did: a licence is ended, the forged record marked as entered in error.
# The visit that the thief retracted has no later versions; it is anchored anew. History stays.
clinic-b: identity.practitioner.status licence=@quack change=end reason=@letter
clinic-b: record.retract commitment=@forged
clinic-b: record.amend previous=@visit-1 anchor='{"commitment":"@visit-1b","tag":"@t4:16","canon":2,"record_class":null,"object_root":null,"retention":null}' reason=amended
clinic-b: record.anchor commitment=@visit-1b tag=@t4:16 canon=2
----
applied
applied
record-retracted
applied

# The authority is told after four days, a day too late: that stays on the clinic's account. An
# incident with open duties cannot be closed.
later 4d
ask governance.breach incident=@theft
clinic-b: governance.incident.close incident=@theft commitment=@report-2
clinic-b: governance.incident.update incident=@theft commitment=@report-2 affected=1-499 done=["gdpr-authority"]
----
known: yes
incident: @theft
org: clinic-b
kind: integrity
regimes: gdpr, hipaa
affected: unknown
key: key:clinic-b/branch
aware_ms: day 8 00:00:12
reported_height: 18
reported_ms: day 8 00:00:18
clocks:
  - duty:
      code: gdpr-authority
      due_ms: day 11 00:00:12
      status: waiting
      overdue: yes
      settled_ms: -
    left_ms: -
  - duty:
      code: hipaa-persons
      due_ms: day 68 00:00:12
      status: waiting
      overdue: no
      settled_ms: -
    left_ms: 4838388000
overdue: yes
reports:
  - commitment: @report-1
    affected: unknown
    from_height: 18
    from_ms: day 8 00:00:18
    txid: fa154b70..
closed_ms: -
next: -
governance-incident-duties-open
applied

# Looking closer, the camera of the car park shows that it was gone on Thursday. The clinic moves
# the date back. A later date would whitewash what was signed, and is refused.
clinic-b: identity.key.revoke key=key:clinic-b/branch compromised_since_ms=time:tuesday
clinic-b: identity.key.revoke key=key:clinic-b/branch compromised_since_ms=time:thursday
clinic-b: governance.incident.update incident=@theft commitment=@report-3 done=["hipaa-persons"]
clinic-b: governance.incident.close incident=@theft commitment=@report-4
----
identity-key-ended
applied
applied
applied

# What everybody asks. What the key signed on Monday is in order; on Saturday it still spoke for the
# clinic, and is doubted; today it speaks for nobody. The list of every transaction that it signed,
# flagged or not, is the node's to give (GET /v1/keys/KEY/touched).
ask identity.key.at key=key:clinic-b/branch at_height=height:monday at_ms=time:monday
ask identity.key.at key=key:clinic-b/branch at_height=height:saturday at_ms=time:saturday
ask identity.key.at key=key:clinic-b/branch
----
key: key:clinic-b/branch
known: yes
org: clinic-b
use: sign
status: revoked
in_force: yes
flagged: no
from_height: 2
from_ms: day 0 00:00:02
retires_ms: -
until_height: 14
until_ms: day 8 00:00:14
compromised_since_ms: day 3 00:00:06
key: key:clinic-b/branch
known: yes
org: clinic-b
use: sign
status: revoked
in_force: yes
flagged: yes
from_height: 2
from_ms: day 0 00:00:02
retires_ms: -
until_height: 14
until_ms: day 8 00:00:14
compromised_since_ms: day 3 00:00:06
key: key:clinic-b/branch
known: yes
org: clinic-b
use: sign
status: revoked
in_force: no
flagged: yes
from_height: 2
from_ms: day 0 00:00:02
retires_ms: -
until_height: 14
until_ms: day 8 00:00:14
compromised_since_ms: day 3 00:00:06

# What it touched, as it stands now: the visit and the forged record, the two licences.
ask record.status commitment=@visit-1
ask record.status commitment=@forged
ask identity.practitioner.valid licence=@quack
ask identity.practitioner.valid licence=@nurse
----
known: yes
status: retracted
author: clinic-b
custodian: clinic-b
version: 1
previous: -
successor: -
anchored_height: 3
anchored_ms: day 0 00:00:03
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: -
retained_until_ms: -
erasable: yes
known: yes
status: retracted
author: clinic-b
custodian: clinic-b
version: 1
previous: -
successor: -
anchored_height: 8
anchored_ms: day 5 00:00:08
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: -
retained_until_ms: -
erasable: yes
known: yes
valid: no
status: ended
by: clinic-b
since_ms: day 8 00:00:20
profession: specialist-physician
issuer: clinic-b
from_ms: day 5 00:00:10
until_ms: day 370 00:00:10
issued_height: 10
known: yes
valid: yes
status: active
by: clinic-b
since_ms: day 0 00:00:04
profession: nurse
issuer: clinic-b
from_ms: day 0 00:00:04
until_ms: day 365 00:00:04
issued_height: 4

# And the incident: which duties were done in time, which late, which reports there are.
ask governance.breach incident=@theft
----
known: yes
incident: @theft
org: clinic-b
kind: integrity
regimes: gdpr, hipaa
affected: 1-499
key: key:clinic-b/branch
aware_ms: day 8 00:00:12
reported_height: 18
reported_ms: day 8 00:00:18
clocks:
  - duty:
      code: gdpr-authority
      due_ms: day 11 00:00:12
      status: late
      overdue: yes
      settled_ms: day 12 00:00:26
    left_ms: -
  - duty:
      code: hipaa-persons
      due_ms: day 68 00:00:12
      status: done
      overdue: no
      settled_ms: day 12 00:00:29
    left_ms: -
overdue: yes
reports:
  - commitment: @report-1
    affected: unknown
    from_height: 18
    from_ms: day 8 00:00:18
    txid: fa154b70..
  - commitment: @report-2
    affected: 1-499
    from_height: 26
    from_ms: day 12 00:00:26
    txid: 853b3758..
  - commitment: @report-3
    affected: 1-499
    from_height: 29
    from_ms: day 12 00:00:29
    txid: 484e1740..
  - commitment: @report-4
    affected: 1-499
    from_height: 30
    from_ms: day 12 00:00:30
    txid: dc70f4a2..
closed_ms: day 12 00:00:30
next: -
