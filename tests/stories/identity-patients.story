# Two hospitals and a clinic.
network clinic-b:author hospital-a:author,custodian hospital-c:author
----

# Anna enrols at hospital A with the key of her phone, which signs too.  Her subject is 32
# random bytes; nothing on the ledger is derived from her name.
hospital-a: identity.patient.bind subject=@anna sign_key=key:anna/phone seal_key=@anna-box level=2
hospital-a: identity.patient.bind subject=@anna sign_key=key:anna/phone seal_key=@anna-box level=2 +anna/phone
hospital-a: identity.patient.bind subject=@anna sign_key=key:anna/other seal_key=@anna-box level=2 +anna/other
ask identity.patient.bound subject=@anna
----
identity-key-unsigned
applied
identity-patient-known
known: yes
active: yes
org: hospital-a
level: 2
sign_key: key:anna/phone
seal_key: @anna-box
guardians: -
guardians_needed: 0
since_height: 2
since_ms: day 0 00:00:02
recovery: -

# At the clinic she has another subject and must have another key: one key at two places
# would tell everybody that both are one person.
clinic-b: identity.patient.bind subject=@anna-b sign_key=key:anna/phone seal_key=@anna-box level=1 +anna/phone
clinic-b: identity.patient.bind subject=@anna-b sign_key=key:anna/clinic seal_key=@anna-box-b level=1 +anna/clinic
----
identity-key-known
applied

# An institution that would hold the patient's key itself is found out where it uses its own.
hospital-a: identity.patient.bind subject=@straw sign_key=key:hospital-a/identity seal_key=@x level=1
----
identity-key-known

# That both are one person is a commitment, nothing more.  Her key signs it, or both houses.
hospital-a: identity.patient.link link=@same subject=@anna
hospital-a: identity.patient.link link=@same subject=@anna +anna/phone
hospital-a: identity.patient.link link=@same other=clinic-b +clinic-b/identity
hospital-a: identity.patient.link link=@merged other=clinic-b
hospital-a: identity.patient.link link=@merged other=hospital-a
hospital-a: identity.patient.link link=@merged other=clinic-b +clinic-b/identity
ask identity.patient.linked link=@same
----
identity-link-unsigned
applied
identity-link-known
identity-link-unsigned
identity-link-unsigned
applied
known: yes
in_force: yes
link:
  org: hospital-a
  other: -
  subject: @anna
  from_height: 8
  from_ms: day 0 00:00:08
  until_height: -
  until_ms: -

# The merge was wrong; both houses say so.  One alone cannot, and once is enough.
clinic-b: identity.patient.unlink link=@merged
clinic-b: identity.patient.unlink link=@merged +hospital-a/identity
clinic-b: identity.patient.unlink link=@merged +hospital-a/identity
ask identity.patient.linked link=@merged
ask identity.patient.linked link=@never
----
identity-link-unsigned
applied
identity-link-unknown
known: yes
in_force: no
link:
  org: hospital-a
  other: clinic-b
  subject: -
  from_height: 12
  from_ms: day 0 00:00:12
  until_height: 14
  until_ms: day 0 00:00:14
known: no
in_force: no
link: -

# At the clinic she names her sister, a friend and her son: two of them may help.  Her own key
# has to say so.
clinic-b: identity.patient.guard subject=@anna-b guardians=["key:sister","key:friend","key:son"] needed=2
clinic-b: identity.patient.guard subject=@nobody guardians=["key:sister"] needed=1 +anna/clinic
hospital-a: identity.patient.guard subject=@anna-b guardians=["key:sister","key:friend","key:son"] needed=2 +anna/clinic
----
identity-patient-unsigned
identity-patient-unknown
applied

# Her key for the clinic is gone.  One guardian is too few, two replace it at once, and a
# recovery that the clinic opened meanwhile is off.
clinic-b: identity.recovery.open subject=@anna-b sign_key=key:anna/desk seal_key=@anna-box-b +anna/desk
clinic-b: identity.patient.recover subject=@anna-b sign_key=key:anna/clinic-2 seal_key=@anna-box-b2 +anna/clinic-2 +sister
clinic-b: identity.patient.recover subject=@anna-b sign_key=key:anna/clinic-2 seal_key=@anna-box-b2 +sister +son
clinic-b: identity.patient.recover subject=@anna-b sign_key=key:anna/clinic-2 seal_key=@anna-box-b2 +anna/clinic-2 +sister +son
ask identity.patient.bound subject=@anna-b
ask identity.recovery.of subject=@anna-b
----
applied
identity-patient-guard-few
identity-key-unsigned
applied
known: yes
active: yes
org: clinic-b
level: 1
sign_key: key:anna/clinic-2
seal_key: @anna-box-b2
guardians: key:sister, key:friend, key:son
guardians_needed: 2
since_height: 5
since_ms: day 0 00:00:05
recovery: -
recoveries:
  - sign_key: key:anna/desk
    seal_key: @anna-box-b
    status: cancelled
    opened_height: 19
    opened_ms: day 0 00:00:19
    due_ms: day 7 00:00:19
    closed_height: 22
    closed_ms: day 0 00:00:22
next: -

# A new phone while the old one still works: both sign, and any institution may bring it.
clinic-b: identity.patient.rotate subject=@anna sign_key=key:anna/tablet seal_key=@anna-box-2 +anna/tablet
clinic-b: identity.patient.rotate subject=@anna sign_key=key:anna/tablet seal_key=@anna-box-2 +anna/tablet +anna/phone
hospital-a: identity.patient.rotate subject=@anna sign_key=key:anna/watch seal_key=@anna-box-2 +anna/watch +anna/phone
----
identity-patient-unsigned
applied
identity-patient-unsigned

# She loses the tablet and has no guardians: nobody is let in as one.
hospital-a: identity.patient.recover subject=@anna sign_key=key:anna/new seal_key=@anna-box-3 +anna/new
----
identity-patient-guard-few

# The hospital opens a recovery, which waits seven days.  Another house may not.
clinic-b: identity.recovery.open subject=@anna sign_key=key:anna/new seal_key=@anna-box-3 +anna/new
hospital-a: identity.recovery.open subject=@anna sign_key=key:anna/new seal_key=@anna-box-3 +anna/new
hospital-a: identity.recovery.open subject=@anna sign_key=key:anna/new-2 seal_key=@anna-box-3 +anna/new-2
ask identity.patient.bound subject=@anna
----
identity-patient-not-yours
applied
identity-recovery-waiting
known: yes
active: yes
org: hospital-a
level: 2
sign_key: key:anna/tablet
seal_key: @anna-box-2
guardians: -
guardians_needed: 0
since_height: 2
since_ms: day 0 00:00:02
recovery:
  sign_key: key:anna/new
  seal_key: @anna-box-3
  status: open
  opened_height: 28
  opened_ms: day 0 00:00:28
  due_ms: day 7 00:00:28
  closed_height: -
  closed_ms: -

# She finds the tablet under the sofa and says no: the old key is not lost.
later 3d
clinic-b: identity.recovery.cancel subject=@anna
clinic-b: identity.recovery.cancel subject=@anna +anna/tablet
clinic-b: identity.recovery.cancel subject=@anna +anna/tablet
later 10d
ask identity.patient.bound subject=@anna
----
identity-patient-unsigned
applied
identity-recovery-none
known: yes
active: yes
org: hospital-a
level: 2
sign_key: key:anna/tablet
seal_key: @anna-box-2
guardians: -
guardians_needed: 0
since_height: 2
since_ms: day 0 00:00:02
recovery: -

# It is lost in earnest.  The keys that were asked for before are spent.
hospital-a: identity.recovery.open subject=@anna sign_key=key:anna/new seal_key=@anna-box-3 +anna/new
hospital-a: identity.recovery.open subject=@anna sign_key=key:anna/third seal_key=@anna-box-3 +anna/third
later 7d
ask identity.patient.bound subject=@anna
ask identity.recovery.of subject=@anna
----
identity-key-known
applied
known: yes
active: yes
org: hospital-a
level: 2
sign_key: key:anna/third
seal_key: @anna-box-3
guardians: -
guardians_needed: 0
since_height: 2
since_ms: day 0 00:00:02
recovery: -
recoveries:
  - sign_key: key:anna/new
    seal_key: @anna-box-3
    status: cancelled
    opened_height: 28
    opened_ms: day 0 00:00:28
    due_ms: day 7 00:00:28
    closed_height: 32
    closed_ms: day 3 00:00:32
  - sign_key: key:anna/third
    seal_key: @anna-box-3
    status: done
    opened_height: 36
    opened_ms: day 13 00:00:36
    due_ms: day 20 00:00:36
    closed_height: 37
    closed_ms: day 20 00:00:37
next: -

# What she signed with when: the phone at height 3, the tablet later, the third key now.
ask identity.patient.bound subject=@anna at_height=2
ask identity.patient.bound subject=@anna at_height=3
ask identity.patient.history subject=@anna
----
known: yes
active: yes
org: hospital-a
level: 2
sign_key: key:anna/phone
seal_key: @anna-box
guardians: -
guardians_needed: 0
since_height: 2
since_ms: day 0 00:00:02
recovery: -
known: yes
active: yes
org: hospital-a
level: 2
sign_key: key:anna/phone
seal_key: @anna-box
guardians: -
guardians_needed: 0
since_height: 2
since_ms: day 0 00:00:02
recovery: -
changes:
  - what: bind
    sign_key: key:anna/phone
    seal_key: @anna-box
    guardians: -
    guardians_needed: 0
    height: 2
    time_ms: day 0 00:00:02
  - what: rotate
    sign_key: key:anna/tablet
    seal_key: @anna-box-2
    guardians: -
    guardians_needed: 0
    height: 24
    time_ms: day 0 00:00:24
  - what: recover
    sign_key: key:anna/third
    seal_key: @anna-box-3
    guardians: -
    guardians_needed: 0
    height: 37
    time_ms: day 20 00:00:37
next: -

# She moves away.  The binding ends; its history stays, and the house may end her link.
clinic-b: identity.patient.end subject=@anna
hospital-a: identity.patient.end subject=@anna
hospital-a: identity.patient.rotate subject=@anna sign_key=key:anna/fourth seal_key=@anna-box-3 +anna/fourth +anna/third
clinic-b: identity.patient.unlink link=@same
hospital-a: identity.patient.unlink link=@same
ask identity.patient.bound subject=@anna
----
identity-patient-not-yours
applied
identity-patient-ended
identity-link-unsigned
applied
known: yes
active: no
org: hospital-a
level: 2
sign_key: -
seal_key: -
guardians: -
guardians_needed: 0
since_height: 2
since_ms: day 0 00:00:02
recovery: -
