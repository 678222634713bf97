# A clinic, a hospital, two payers: who says what about whom, and who stands for it.
network clinic-b:author hospital-a:author payer-d:payer payer-e:payer
----

# The clinic says of itself where it is and that it takes patients, for so many days.
clinic-b: identity.directory.assert fact=@address kind=address about=clinic-b value=DE-BE/10115 digest=@letterhead days=100
clinic-b: identity.directory.assert fact=@address kind=address about=clinic-b value=DE-BE/10115 digest=@letterhead days=100
clinic-b: identity.directory.assert fact=@accepts kind=accepting-patients about=clinic-b value=yes digest=@page days=30
clinic-b: identity.directory.assert fact=@ghost kind=network-status about=nobody value=in digest=@page days=30
----
applied
identity-fact-known
applied
identity-org-unknown

# A payer confirms the address, and disputes that patients are taken.  Nobody judges its own.
payer-d: identity.directory.attest fact=@address days=200
clinic-b: identity.directory.attest fact=@address days=200
payer-d: identity.directory.challenge fact=@accepts days=30 reason=@calls
payer-d: identity.directory.attest fact=@unheard days=30
ask identity.directory.of about=clinic-b
----
applied
identity-fact-own
applied
identity-fact-unknown
facts:
  - fact:
      fact: @address
      kind: address
      by: clinic-b
      about: clinic-b
      licence: -
      value: DE-BE/10115
      digest: @letterhead
      height: 1
      time_ms: day 0 00:00:01
      until_ms: day 100 00:00:01
      status: asserted
      ended_height: -
      ended_ms: -
      voices:
        - org: payer-d
          agrees: yes
          reason: -
          height: 5
          time_ms: day 0 00:00:05
          until_ms: day 200 00:00:05
    own: yes
    reliance:
      standing: fresh
      supports: 2
      challenges: 0
      fresh_until_ms: day 200 00:00:05
  - fact:
      fact: @accepts
      kind: accepting-patients
      by: clinic-b
      about: clinic-b
      licence: -
      value: yes
      digest: @page
      height: 3
      time_ms: day 0 00:00:03
      until_ms: day 30 00:00:03
      status: asserted
      ended_height: -
      ended_ms: -
      voices:
        - org: payer-d
          agrees: no
          reason: @calls
          height: 7
          time_ms: day 0 00:00:07
          until_ms: day 30 00:00:07
    own: yes
    reliance:
      standing: disputed
      supports: 1
      challenges: 1
      fresh_until_ms: day 30 00:00:03
looked_at: 2
next: -

# The clinic corrects itself; nobody else can.  The old fact stays readable.
hospital-a: identity.directory.assert fact=@accepts-2 kind=accepting-patients about=clinic-b value=waiting-list digest=@page-2 days=30 replaces=@accepts
clinic-b: identity.directory.assert fact=@accepts-2 kind=address about=clinic-b value=DE digest=@page-2 days=30 replaces=@accepts
clinic-b: identity.directory.assert fact=@accepts-2 kind=accepting-patients about=clinic-b value=waiting-list digest=@page-2 days=30 replaces=@accepts
payer-d: identity.directory.attest fact=@accepts days=30
ask identity.directory.of about=clinic-b kind=accepting-patients all=true
----
identity-fact-not-yours
identity-fact-unknown
applied
identity-fact-over
facts:
  - fact:
      fact: @accepts
      kind: accepting-patients
      by: clinic-b
      about: clinic-b
      licence: -
      value: yes
      digest: @page
      height: 3
      time_ms: day 0 00:00:03
      until_ms: day 30 00:00:03
      status: replaced
      ended_height: 11
      ended_ms: day 0 00:00:11
      voices:
        - org: payer-d
          agrees: no
          reason: @calls
          height: 7
          time_ms: day 0 00:00:07
          until_ms: day 30 00:00:07
    own: yes
    reliance:
      standing: replaced
      supports: 1
      challenges: 1
      fresh_until_ms: day 30 00:00:03
  - fact:
      fact: @accepts-2
      kind: accepting-patients
      by: clinic-b
      about: clinic-b
      licence: -
      value: waiting-list
      digest: @page-2
      height: 11
      time_ms: day 0 00:00:11
      until_ms: day 30 00:00:11
      status: asserted
      ended_height: -
      ended_ms: -
      voices: -
    own: yes
    reliance:
      standing: fresh
      supports: 1
      challenges: 0
      fresh_until_ms: day 30 00:00:11
looked_at: 3
next: -

# The other payer disputes the new one, the first confirms it: two for it, one against.
payer-e: identity.directory.challenge fact=@accepts-2 days=20
payer-d: identity.directory.attest fact=@accepts-2 days=20
ask identity.directory.fact fact=@accepts-2
----
applied
applied
known: yes
stated:
  fact:
    fact: @accepts-2
    kind: accepting-patients
    by: clinic-b
    about: clinic-b
    licence: -
    value: waiting-list
    digest: @page-2
    height: 11
    time_ms: day 0 00:00:11
    until_ms: day 30 00:00:11
    status: asserted
    ended_height: -
    ended_ms: -
    voices:
      - org: payer-e
        agrees: no
        reason: -
        height: 13
        time_ms: day 0 00:00:13
        until_ms: day 20 00:00:13
      - org: payer-d
        agrees: yes
        reason: -
        height: 14
        time_ms: day 0 00:00:14
        until_ms: day 20 00:00:14
  own: yes
  reliance:
    standing: fresh
    supports: 2
    challenges: 1
    fresh_until_ms: day 30 00:00:11

# The challenger is convinced: its last word counts.
payer-e: identity.directory.attest fact=@accepts-2 days=20
ask identity.directory.fact fact=@accepts-2
----
applied
known: yes
stated:
  fact:
    fact: @accepts-2
    kind: accepting-patients
    by: clinic-b
    about: clinic-b
    licence: -
    value: waiting-list
    digest: @page-2
    height: 11
    time_ms: day 0 00:00:11
    until_ms: day 30 00:00:11
    status: asserted
    ended_height: -
    ended_ms: -
    voices:
      - org: payer-e
        agrees: no
        reason: -
        height: 13
        time_ms: day 0 00:00:13
        until_ms: day 20 00:00:13
      - org: payer-d
        agrees: yes
        reason: -
        height: 14
        time_ms: day 0 00:00:14
        until_ms: day 20 00:00:14
      - org: payer-e
        agrees: yes
        reason: -
        height: 15
        time_ms: day 0 00:00:15
        until_ms: day 20 00:00:15
  own: yes
  reliance:
    standing: fresh
    supports: 3
    challenges: 0
    fresh_until_ms: day 30 00:00:11

# Months later nobody stands for it any more; the address stands on the payer's word alone.
later 150d
ask identity.directory.of about=clinic-b all=true
payer-d: identity.directory.attest fact=@accepts-2 days=20
----
facts:
  - fact:
      fact: @address
      kind: address
      by: clinic-b
      about: clinic-b
      licence: -
      value: DE-BE/10115
      digest: @letterhead
      height: 1
      time_ms: day 0 00:00:01
      until_ms: day 100 00:00:01
      status: asserted
      ended_height: -
      ended_ms: -
      voices:
        - org: payer-d
          agrees: yes
          reason: -
          height: 5
          time_ms: day 0 00:00:05
          until_ms: day 200 00:00:05
    own: yes
    reliance:
      standing: fresh
      supports: 1
      challenges: 0
      fresh_until_ms: day 200 00:00:05
  - fact:
      fact: @accepts
      kind: accepting-patients
      by: clinic-b
      about: clinic-b
      licence: -
      value: yes
      digest: @page
      height: 3
      time_ms: day 0 00:00:03
      until_ms: day 30 00:00:03
      status: replaced
      ended_height: 11
      ended_ms: day 0 00:00:11
      voices:
        - org: payer-d
          agrees: no
          reason: @calls
          height: 7
          time_ms: day 0 00:00:07
          until_ms: day 30 00:00:07
    own: yes
    reliance:
      standing: replaced
      supports: 0
      challenges: 0
      fresh_until_ms: day 30 00:00:03
  - fact:
      fact: @accepts-2
      kind: accepting-patients
      by: clinic-b
      about: clinic-b
      licence: -
      value: waiting-list
      digest: @page-2
      height: 11
      time_ms: day 0 00:00:11
      until_ms: day 30 00:00:11
      status: asserted
      ended_height: -
      ended_ms: -
      voices:
        - org: payer-e
          agrees: no
          reason: -
          height: 13
          time_ms: day 0 00:00:13
          until_ms: day 20 00:00:13
        - org: payer-d
          agrees: yes
          reason: -
          height: 14
          time_ms: day 0 00:00:14
          until_ms: day 20 00:00:14
        - org: payer-e
          agrees: yes
          reason: -
          height: 15
          time_ms: day 0 00:00:15
          until_ms: day 20 00:00:15
    own: yes
    reliance:
      standing: stale
      supports: 0
      challenges: 0
      fresh_until_ms: day 30 00:00:11
looked_at: 3
next: -
identity-fact-over

# A fact about a practitioner has no value, only the digest of a statement, and its licence
# is on the ledger.
hospital-a: identity.directory.assert fact=@works kind=specialty licence=@nurse digest=@statement days=90
hospital-a: identity.practitioner.issue licence=@nurse profession=nurse from_ms=+0d until_ms=+365d
hospital-a: identity.directory.assert fact=@works kind=specialty licence=@nurse digest=@statement days=90
payer-e: identity.directory.withdraw fact=@works
hospital-a: identity.directory.withdraw fact=@works
ask identity.directory.of licence=@nurse
ask identity.directory.of licence=@nurse all=true
ask identity.directory.fact fact=@unheard
----
identity-licence-unknown
applied
applied
identity-fact-not-yours
applied
facts: -
looked_at: 1
next: -
facts:
  - fact:
      fact: @works
      kind: specialty
      by: hospital-a
      about: -
      licence: @nurse
      value: -
      digest: @statement
      height: 20
      time_ms: day 150 00:00:20
      until_ms: day 240 00:00:20
      status: withdrawn
      ended_height: 22
      ended_ms: day 150 00:00:22
      voices: -
    own: no
    reliance:
      standing: withdrawn
      supports: 1
      challenges: 0
      fresh_until_ms: day 240 00:00:20
looked_at: 1
next: -
known: no
stated: -
