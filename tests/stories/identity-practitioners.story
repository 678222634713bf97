# A medical board (a regulator), the hospital that employs, a clinic, a payer.
network board-r:regulator clinic-b:author hospital-a:author,custodian payer-d:payer
----

# The hospital vouches for a nurse from tomorrow on, for a year.  What is on the ledger is a
# commitment to the credential; the nurse keeps the credential.  A payer vouches for nobody.
payer-d: identity.practitioner.issue licence=@nurse profession=nurse from_ms=+1d until_ms=+365d
hospital-a: identity.practitioner.issue licence=@nurse profession=nurse from_ms=+1d until_ms=+365d
hospital-a: identity.practitioner.issue licence=@nurse profession=midwife from_ms=+1d until_ms=+365d
hospital-a: identity.practitioner.issue licence=@late profession=nurse from_ms=1 until_ms=2
ask identity.practitioner.valid licence=@nurse
ask identity.practitioner.valid licence=@stranger
----
role-missing
applied
identity-licence-known
identity-licence-over
known: yes
valid: no
status: pending
by: hospital-a
since_ms: day 0 00:00:02
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2
known: no
valid: no
status: none
by: -
since_ms: 0
profession: -
issuer: -
from_ms: 0
until_ms: 0
issued_height: 0

# Two days later she works.
later 2d
ask identity.practitioner.valid licence=@nurse
----
known: yes
valid: yes
status: active
by: hospital-a
since_ms: day 2 00:00:05
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2

# The hospital suspends her, and another institution has no say.
clinic-b: identity.practitioner.status licence=@nurse change=suspend
clinic-b: identity.practitioner.status licence=@nobody change=suspend
hospital-a: identity.practitioner.status licence=@nurse change=resume
hospital-a: identity.practitioner.status licence=@nurse change=suspend reason=@letter
ask identity.practitioner.valid licence=@nurse
hospital-a: identity.practitioner.status licence=@nurse change=resume
----
identity-licence-not-yours
identity-licence-unknown
identity-licence-misfit
applied
known: yes
valid: no
status: suspended
by: hospital-a
since_ms: day 2 00:00:09
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2
applied

# The board suspends any licence, and the hospital cannot undo that.
board-r: identity.practitioner.status licence=@nurse change=suspend
hospital-a: identity.practitioner.status licence=@nurse change=resume
later 10d
board-r: identity.practitioner.status licence=@nurse change=resume
ask identity.practitioner.valid licence=@nurse
----
applied
identity-licence-not-yours
applied
known: yes
valid: yes
status: active
by: board-r
since_ms: day 12 00:00:14
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2

# A patient asks: did she have a licence when she gave me that injection on day 5?  On day 1?
ask identity.practitioner.valid licence=@nurse at_ms=1767657600000
ask identity.practitioner.valid licence=@nurse at_ms=1767312100000
ask identity.practitioner.valid licence=@nurse at_height=6
ask identity.practitioner.valid licence=@nurse at_height=10
ask identity.practitioner.valid licence=@nurse at_height=1
----
known: yes
valid: no
status: suspended
by: board-r
since_ms: day 2 00:00:11
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2
known: yes
valid: yes
status: active
by: hospital-a
since_ms: day 0 00:00:02
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2
known: yes
valid: yes
status: active
by: hospital-a
since_ms: day 2 00:00:05
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2
known: yes
valid: yes
status: active
by: hospital-a
since_ms: day 2 00:00:10
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2
known: yes
valid: no
status: none
by: -
since_ms: 0
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2

# Her year ends by the clock.  An ended licence stays ended.
later 360d
ask identity.practitioner.valid licence=@nurse
hospital-a: identity.practitioner.status licence=@nurse change=resume
hospital-a: identity.practitioner.status licence=@nurse change=end
ask identity.practitioner.history licence=@nurse
----
known: yes
valid: no
status: expired
by: hospital-a
since_ms: day 372 00:00:15
profession: nurse
issuer: hospital-a
from_ms: day 1 00:00:02
until_ms: day 365 00:00:02
issued_height: 2
identity-licence-misfit
identity-licence-misfit
changes:
  - status: pending
    by: hospital-a
    reason: -
    height: 2
    time_ms: day 0 00:00:02
  - status: active
    by: hospital-a
    reason: -
    height: 5
    time_ms: day 2 00:00:05
  - status: suspended
    by: hospital-a
    reason: @letter
    height: 9
    time_ms: day 2 00:00:09
  - status: active
    by: hospital-a
    reason: -
    height: 10
    time_ms: day 2 00:00:10
  - status: suspended
    by: board-r
    reason: -
    height: 11
    time_ms: day 2 00:00:11
  - status: active
    by: board-r
    reason: -
    height: 14
    time_ms: day 12 00:00:14
  - status: expired
    by: hospital-a
    reason: -
    height: 15
    time_ms: day 372 00:00:15
next: -

# A pharmacist's licence that is ended before its time.
hospital-a: identity.practitioner.issue licence=@pharmacist profession=pharmacist from_ms=+0d until_ms=+10d
board-r: identity.practitioner.status licence=@pharmacist change=suspend
board-r: identity.practitioner.status licence=@pharmacist change=end
later 20d
ask identity.practitioner.history licence=@pharmacist
----
applied
applied
applied
changes:
  - status: active
    by: hospital-a
    reason: -
    height: 18
    time_ms: day 372 00:00:18
  - status: suspended
    by: board-r
    reason: -
    height: 19
    time_ms: day 372 00:00:19
  - status: ended
    by: board-r
    reason: -
    height: 20
    time_ms: day 372 00:00:20
next: -
