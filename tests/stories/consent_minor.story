# Ben is a child; his mother acts for him until he is of age.  The hospital has seen the papers.
network clinic-b:author health-office:regulator hospital-a:author,custodian
hospital-a: identity.patient.bind subject=@ben sign_key=key:ben seal_key=@ben-seal level=2 +ben
hospital-a: consent.delegate subject=@ben key=key:mother kind=parent deeds=["delegate","grant","opt","revoke"] until_ms=1776902400000 +ben
hospital-a: consent.delegate subject=@ben key=key:mother kind=parent deeds=["delegate","grant","opt","revoke"] until_ms=1776902400000 document=@birth-certificate
hospital-a: consent.delegate subject=@ben key=key:mother kind=parent deeds=["grant"] until_ms=1776902400000 document=@birth-certificate
----
applied
consent-proxy-not-allowed
applied
consent-proxy-exists

# Ben cannot consent alone, a stranger cannot at all, his mother can.
clinic-b: consent.grant cid=@shots:16 subject=@ben rule={"permit":true,"scope":{"orgs":["clinic-b"]}} +ben
clinic-b: consent.grant cid=@shots:16 subject=@ben rule={"permit":true,"scope":{"orgs":["clinic-b"]}} +stranger
clinic-b: consent.grant cid=@shots:16 subject=@ben rule={"permit":true,"scope":{"orgs":["clinic-b"]}} +mother
----
consent-patient-minor
consent-signature-missing
applied

# She lets the grandmother revoke, but not for longer than she acts herself, nor more.
clinic-b: consent.delegate subject=@ben key=key:gran kind=attorney deeds=["revoke"] +mother
clinic-b: consent.delegate subject=@ben key=key:gran kind=attorney deeds=["revoke"] until_ms=1776902400000 +mother
clinic-b: consent.delegate subject=@ben key=key:gran kind=attorney deeds=["revoke"] until_ms=+1d +gran
clinic-b: consent.grant cid=@more:16 subject=@ben rule={"permit":true} +gran
ask consent.delegates subject=@ben
----
consent-proxy-beyond
applied
consent-proxy-not-allowed
consent-signature-missing
known: yes
delegates:
  - now: yes
    delegate:
      subject: @ben
      number: 0
      key: key:mother
      kind: parent
      deeds: delegate, grant, opt, revoke
      until_ms: day 112 00:00:00
      signer: -
      org: hospital-a
      source: @birth-certificate
      from_height: 3
      from_ms: day 0 00:00:03
      until_height: -
      ended_ms: -
  - now: yes
    delegate:
      subject: @ben
      number: 1
      key: key:gran
      kind: attorney
      deeds: revoke
      until_ms: day 112 00:00:00
      signer: key:mother
      org: clinic-b
      source: -
      from_height: 9
      from_ms: day 0 00:00:09
      until_height: -
      ended_ms: -

# Ben comes of age by ledger time alone: his mother's key and the grandmother's count no more.
later 112d
clinic-b: consent.revoke cid=@shots:16 +mother
clinic-b: consent.revoke cid=@shots:16 +gran
clinic-b: consent.revoke cid=@shots:16 +ben
ask consent.list subject=@ben
----
consent-signature-missing
consent-signature-missing
applied
known: yes
count: 1
opted_out: -
consents:
  - cid: @shots:16
    version: 1
    status: revoked
    permit: yes
    purposes: -
    how: signed
    policy: -
    from_ms: day 0 00:00:07
    until_ms: day 112 00:00:15
next: -

# Grown up, he names an attorney, and takes that back.
clinic-b: consent.delegate subject=@ben key=key:friend kind=attorney deeds=["grant","revoke"] +ben
clinic-b: consent.grant cid=@again:16 subject=@ben rule={"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"]}} +friend
clinic-b: consent.undelegate subject=@ben key=key:friend +stranger
clinic-b: consent.undelegate subject=@ben key=key:friend +ben
clinic-b: consent.undelegate subject=@ben key=key:friend +ben
clinic-b: consent.revoke cid=@again:16 +friend
ask consent.may subject=@ben requester=clinic-b purpose=TREAT
----
applied
applied
consent-proxy-not-allowed
applied
consent-proxy-unknown
consent-signature-missing
decision:
  permit: yes
  reason: patient-permits
  basis: @again:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @again:16
      version: 1
      verdict: decides
  version: 1
basis_name: -
english: Yes, it is allowed. The patient has said yes.
chinese: 可以，已获准许。患者已同意。
height: 21
time_ms: day 112 00:00:21

# What nobody ever bound has no delegates, and no consents.
clinic-b: consent.delegate subject=@nobody key=key:friend kind=attorney deeds=["grant"] +friend
clinic-b: consent.delegate subject=@ben key=key:friend kind=attorney deeds=["grant"] until_ms=1 +ben
ask consent.delegates subject=@nobody
----
consent-proxy-subject
consent-proxy-over
known: no
delegates: -

ask consent.list subject=@nobody
----
known: no
count: 0
opted_out: -
consents: -
next: -
