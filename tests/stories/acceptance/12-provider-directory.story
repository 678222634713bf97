# A registry without an owner: the provider directory.
#
# Directories of hospitals and doctors are wrong because nobody who knows better can say so.
# Here everybody states what they know, for so many days, others confirm or dispute it, and
# nobody is the owner of the list.  A fact for which nobody stands any longer is stale by itself.
network hospital-a:author,custodian,dispenser,research insurer-b:payer maker-c:manufacturer,research agency-d:ethics,regulator,supplier
----

# The hospital says where it is, that it takes patients, and its telephone number.  Of an
# institution that is no member nothing is said; a fact has one name; a value has a form.
hospital-a: identity.directory.assert fact=@place kind=address about=hospital-a value=DE-BE/10115 digest=@letterhead days=100
hospital-a: identity.directory.assert fact=@open kind=accepting-patients about=hospital-a value=yes digest=@page days=60
hospital-a: identity.directory.assert fact=@open kind=telephone about=hospital-a value=+493012345678 digest=@page days=60
hospital-a: identity.directory.assert fact=@phone kind=telephone about=hospital-a value=+493012345678 digest=@page days=60
hospital-a: identity.directory.assert fact=@ghost kind=address about=hospital-z value=DE-BE/10115 digest=@page days=60
----
applied
applied
identity-fact-known
applied
identity-org-unknown

# Nobody confirms what they said themselves.  The insurer sends letters to the address, and they
# arrive.  Its members say that the hospital takes nobody: the insurer disputes that.
hospital-a: identity.directory.attest fact=@place days=200
insurer-b: identity.directory.attest fact=@place days=200 reason=@letters
insurer-b: identity.directory.challenge fact=@open days=30 reason=@complaints
insurer-b: identity.directory.attest fact=@rumour days=30
ask identity.directory.fact fact=@open
----
identity-fact-own
applied
applied
identity-fact-unknown
known: yes
stated:
  fact:
    fact: @open
    kind: accepting-patients
    by: hospital-a
    about: hospital-a
    licence: -
    value: yes
    digest: @page
    height: 2
    time_ms: day 0 00:00:02
    until_ms: day 60 00:00:02
    status: asserted
    ended_height: -
    ended_ms: -
    voices:
      - org: insurer-b
        agrees: no
        reason: @complaints
        height: 8
        time_ms: day 0 00:00:08
        until_ms: day 30 00:00:08
  own: yes
  reliance:
    standing: disputed
    supports: 1
    challenges: 1
    fresh_until_ms: day 60 00:00:02

# One voice for it and one against: disputed, and everybody sees it.  The insurer cannot write
# in the hospital's name; the hospital corrects itself, and the old fact stays readable.
insurer-b: identity.directory.assert fact=@waiting kind=accepting-patients about=hospital-a value=waiting-list digest=@page-2 days=60 replaces=@open
hospital-a: identity.directory.assert fact=@waiting kind=accepting-patients about=hospital-a value=waiting-list digest=@page-2 days=60 replaces=@open
insurer-b: identity.directory.challenge fact=@open days=30 reason=@complaints
insurer-b: identity.directory.attest fact=@waiting days=30 reason=@calls
maker-c: identity.directory.challenge fact=@waiting days=10 reason=@visit
ask identity.directory.fact fact=@waiting
----
identity-fact-not-yours
applied
identity-fact-over
applied
applied
known: yes
stated:
  fact:
    fact: @waiting
    kind: accepting-patients
    by: hospital-a
    about: hospital-a
    licence: -
    value: waiting-list
    digest: @page-2
    height: 11
    time_ms: day 0 00:00:11
    until_ms: day 60 00:00:11
    status: asserted
    ended_height: -
    ended_ms: -
    voices:
      - org: insurer-b
        agrees: yes
        reason: @calls
        height: 13
        time_ms: day 0 00:00:13
        until_ms: day 30 00:00:13
      - org: maker-c
        agrees: no
        reason: @visit
        height: 14
        time_ms: day 0 00:00:14
        until_ms: day 10 00:00:14
  own: yes
  reliance:
    standing: fresh
    supports: 2
    challenges: 1
    fresh_until_ms: day 60 00:00:11

# A nurse works at the hospital.  The agency issues the licence: a commitment, without a name.
# What may be said of a licence has no words on the ledger, only the digest of a statement.
hospital-a: identity.directory.assert fact=@ward kind=specialty licence=@nurse digest=@statement days=90
agency-d: identity.practitioner.issue licence=@nurse profession=nurse from_ms=+0d until_ms=+200d
hospital-a: identity.directory.assert fact=@ward kind=specialty licence=@nurse digest=@statement days=90
insurer-b: identity.directory.assert fact=@contract kind=network-status licence=@nurse digest=@agreement days=40
maker-c: identity.directory.withdraw fact=@contract
agency-d: identity.directory.attest fact=@ward days=90
ask identity.directory.of licence=@nurse
----
identity-licence-unknown
applied
applied
applied
identity-fact-not-yours
applied
facts:
  - fact:
      fact: @ward
      kind: specialty
      by: hospital-a
      about: -
      licence: @nurse
      value: -
      digest: @statement
      height: 17
      time_ms: day 0 00:00:17
      until_ms: day 90 00:00:17
      status: asserted
      ended_height: -
      ended_ms: -
      voices:
        - org: agency-d
          agrees: yes
          reason: -
          height: 20
          time_ms: day 0 00:00:20
          until_ms: day 90 00:00:20
    own: no
    reliance:
      standing: fresh
      supports: 2
      challenges: 0
      fresh_until_ms: day 90 00:00:20
  - fact:
      fact: @contract
      kind: network-status
      by: insurer-b
      about: -
      licence: @nurse
      value: -
      digest: @agreement
      height: 18
      time_ms: day 0 00:00:18
      until_ms: day 40 00:00:18
      status: asserted
      ended_height: -
      ended_ms: -
      voices: -
    own: no
    reliance:
      standing: fresh
      supports: 1
      challenges: 0
      fresh_until_ms: day 40 00:00:18
looked_at: 2
next: -

# Fifty days later the insurer's fact about the nurse is stale; the number of the telephone is
# wrong by now, and the hospital takes it back, which only the hospital can.
later 50d
insurer-b: identity.directory.withdraw fact=@phone
hospital-a: identity.directory.withdraw fact=@phone
insurer-b: identity.directory.attest fact=@phone days=30
ask identity.directory.of licence=@nurse
ask identity.directory.fact fact=@phone
----
identity-fact-not-yours
applied
identity-fact-over
facts:
  - fact:
      fact: @ward
      kind: specialty
      by: hospital-a
      about: -
      licence: @nurse
      value: -
      digest: @statement
      height: 17
      time_ms: day 0 00:00:17
      until_ms: day 90 00:00:17
      status: asserted
      ended_height: -
      ended_ms: -
      voices:
        - org: agency-d
          agrees: yes
          reason: -
          height: 20
          time_ms: day 0 00:00:20
          until_ms: day 90 00:00:20
    own: no
    reliance:
      standing: fresh
      supports: 2
      challenges: 0
      fresh_until_ms: day 90 00:00:20
looked_at: 2
next: -
known: yes
stated:
  fact:
    fact: @phone
    kind: telephone
    by: hospital-a
    about: hospital-a
    licence: -
    value: +493012345678
    digest: @page
    height: 4
    time_ms: day 0 00:00:04
    until_ms: day 60 00:00:04
    status: withdrawn
    ended_height: 23
    ended_ms: day 50 00:00:23
    voices: -
  own: yes
  reliance:
    standing: withdrawn
    supports: 1
    challenges: 0
    fresh_until_ms: day 60 00:00:04

# The nurse's licence is suspended by who vouched for it.
hospital-a: identity.practitioner.status licence=@nurse change=suspend reason=@why
agency-d: identity.practitioner.status licence=@nurse change=suspend reason=@why
ask identity.practitioner.valid licence=@nurse
----
identity-licence-not-yours
applied
known: yes
valid: no
status: suspended
by: agency-d
since_ms: day 50 00:00:26
profession: nurse
issuer: agency-d
from_ms: day 0 00:00:16
until_ms: day 200 00:00:16
issued_height: 16

# A hundred more days: the waiting list is stale, for the hospital said it for 60 days and nobody
# has confirmed it since; nobody can now, it has to be said anew.  The address holds, on
# the insurer's word alone.
later 100d
insurer-b: identity.directory.attest fact=@waiting days=30
----
identity-fact-over

# What does the directory say, who stands for it since when, and is it fresh?
ask identity.directory.fact fact=@place
ask identity.directory.fact fact=@waiting
ask identity.directory.fact fact=@open
# And of the nurse: all that was ever said, with its evidence.
ask identity.directory.of licence=@nurse all=true
ask identity.practitioner.valid licence=@nurse
----
known: yes
stated:
  fact:
    fact: @place
    kind: address
    by: hospital-a
    about: hospital-a
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
      - org: insurer-b
        agrees: yes
        reason: @letters
        height: 7
        time_ms: day 0 00:00:07
        until_ms: day 200 00:00:07
  own: yes
  reliance:
    standing: fresh
    supports: 1
    challenges: 0
    fresh_until_ms: day 200 00:00:07
known: yes
stated:
  fact:
    fact: @waiting
    kind: accepting-patients
    by: hospital-a
    about: hospital-a
    licence: -
    value: waiting-list
    digest: @page-2
    height: 11
    time_ms: day 0 00:00:11
    until_ms: day 60 00:00:11
    status: asserted
    ended_height: -
    ended_ms: -
    voices:
      - org: insurer-b
        agrees: yes
        reason: @calls
        height: 13
        time_ms: day 0 00:00:13
        until_ms: day 30 00:00:13
      - org: maker-c
        agrees: no
        reason: @visit
        height: 14
        time_ms: day 0 00:00:14
        until_ms: day 10 00:00:14
  own: yes
  reliance:
    standing: stale
    supports: 0
    challenges: 0
    fresh_until_ms: day 60 00:00:11
known: yes
stated:
  fact:
    fact: @open
    kind: accepting-patients
    by: hospital-a
    about: hospital-a
    licence: -
    value: yes
    digest: @page
    height: 2
    time_ms: day 0 00:00:02
    until_ms: day 60 00:00:02
    status: replaced
    ended_height: 11
    ended_ms: day 0 00:00:11
    voices:
      - org: insurer-b
        agrees: no
        reason: @complaints
        height: 8
        time_ms: day 0 00:00:08
        until_ms: day 30 00:00:08
  own: yes
  reliance:
    standing: replaced
    supports: 0
    challenges: 0
    fresh_until_ms: day 60 00:00:02
facts:
  - fact:
      fact: @ward
      kind: specialty
      by: hospital-a
      about: -
      licence: @nurse
      value: -
      digest: @statement
      height: 17
      time_ms: day 0 00:00:17
      until_ms: day 90 00:00:17
      status: asserted
      ended_height: -
      ended_ms: -
      voices:
        - org: agency-d
          agrees: yes
          reason: -
          height: 20
          time_ms: day 0 00:00:20
          until_ms: day 90 00:00:20
    own: no
    reliance:
      standing: stale
      supports: 0
      challenges: 0
      fresh_until_ms: day 90 00:00:20
  - fact:
      fact: @contract
      kind: network-status
      by: insurer-b
      about: -
      licence: @nurse
      value: -
      digest: @agreement
      height: 18
      time_ms: day 0 00:00:18
      until_ms: day 40 00:00:18
      status: asserted
      ended_height: -
      ended_ms: -
      voices: -
    own: no
    reliance:
      standing: stale
      supports: 0
      challenges: 0
      fresh_until_ms: day 40 00:00:18
looked_at: 2
next: -
known: yes
valid: no
status: suspended
by: agency-d
since_ms: day 50 00:00:26
profession: nurse
issuer: agency-d
from_ms: day 0 00:00:16
until_ms: day 200 00:00:16
issued_height: 16
