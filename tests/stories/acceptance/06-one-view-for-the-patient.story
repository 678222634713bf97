# One simple view: Dora is a patient of hospital-a. She wants to know who could see her data today,
# who did see it, and what left the house; and she wants to change that herself, from her telephone.
network hospital-a:author,custodian,laboratory clinic-b:author,custodian maker-c:manufacturer,supplier agency-d:regulator,ethics
agency-d: consent.policy.publish policy=view-06 kind=overarching digest=@leaflet default=basic-normal glass=["rule"]
hospital-a: identity.patient.bind subject=@dora sign_key=key:dora seal_key=@dora-box level=2 +dora
hospital-a: record.anchor commitment=@blood tag=@t1:16 canon=2 record_class=3
hospital-a: record.anchor commitment=@psyche tag=@t2:16 canon=2 record_class=9
clinic-b: identity.practitioner.issue licence=@nurse profession=nurse from_ms=+0d until_ms=+365d
----
applied
applied
applied
applied
applied

# Dora has said nothing so far: for treatment others may see her data, for other purposes not.
ask consent.may subject=@dora requester=clinic-b purpose=TREAT data_class=3
ask consent.may subject=@dora requester=maker-c purpose=HRESCH data_class=3
----
decision:
  permit: yes
  reason: implicit-policy
  basis: 766965772d3036
  basis_version: 1
  residual: -
  considered:
    - kind: policy
      id: view-06
      version: 1
      verdict: decides
  version: 1
basis_name: view-06
english: Yes, it is allowed. The patient has said nothing about this, so the network's general policy applies.
chinese: 可以，已获准许。患者对此没有作出表示，适用网络的一般政策。
height: 5
time_ms: day 0 00:00:05
decision:
  permit: no
  reason: implicit-policy
  basis: 766965772d3036
  basis_version: 1
  residual: -
  considered:
    - kind: policy
      id: view-06
      version: 1
      verdict: decides
  version: 1
basis_name: view-06
english: No, it is not allowed. The patient has said nothing about this, so the network's general policy applies.
chinese: 不可以，未获准许。患者对此没有作出表示，适用网络的一般政策。
height: 5
time_ms: day 0 00:00:05

# She says three things: the clinic may treat her with everything for thirty days; nobody but
# hospital-a sees class 9; the maker sees nothing at all. Nobody can say it for her. Then she looks
# who could see what today, for the two houses that her rules name.
clinic-b: consent.grant cid=@clinic:16 subject=@dora rule={"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"],"until_ms":"+30d"}}
clinic-b: consent.grant cid=@clinic:16 subject=@dora rule={"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"],"until_ms":"+30d"}} +dora
hospital-a: consent.grant cid=@private:16 subject=@dora rule={"permit":false,"scope":{"orgs":["clinic-b"],"classes":[9]}} +dora
hospital-a: consent.grant cid=@maker:16 subject=@dora rule={"permit":false,"scope":{"orgs":["maker-c"]}} +dora
moment said
ask consent.who subject=@dora limit=20
----
consent-signature-missing
applied
applied
applied
known: yes
lines:
  - org: clinic-b
    role: -
    practitioner: -
    purpose: BTG
    permit: yes
    limited: no
    reason: break-glass
    basis: view-06
  - org: clinic-b
    role: -
    practitioner: -
    purpose: ETREAT
    permit: yes
    limited: yes
    reason: patient-permits
    basis: @clinic:16
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HLEGAL
    permit: no
    limited: no
    reason: implicit-policy
    basis: view-06
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HOPERAT
    permit: no
    limited: no
    reason: implicit-policy
    basis: view-06
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HPAYMT
    permit: no
    limited: no
    reason: implicit-policy
    basis: view-06
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HQUALIMP
    permit: no
    limited: no
    reason: implicit-policy
    basis: view-06
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HRESCH
    permit: no
    limited: no
    reason: implicit-policy
    basis: view-06
  - org: clinic-b
    role: -
    practitioner: -
    purpose: PATRQT
    permit: no
    limited: no
    reason: implicit-policy
    basis: view-06
  - org: clinic-b
    role: -
    practitioner: -
    purpose: PUBHLTH
    permit: no
    limited: no
    reason: implicit-policy
    basis: view-06
  - org: clinic-b
    role: -
    practitioner: -
    purpose: TREAT
    permit: yes
    limited: yes
    reason: patient-permits
    basis: @clinic:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: BTG
    permit: yes
    limited: no
    reason: break-glass
    basis: view-06
  - org: maker-c
    role: -
    practitioner: -
    purpose: ETREAT
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: HLEGAL
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: HOPERAT
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: HPAYMT
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: HQUALIMP
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: HRESCH
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: PATRQT
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: PUBHLTH
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
  - org: maker-c
    role: -
    practitioner: -
    purpose: TREAT
    permit: no
    limited: no
    reason: patient-denies
    basis: @maker:16
next: 20

# A denial wins over a permit, whichever is newer or more exact. Class 3 goes, class 9 does not.
ask consent.may subject=@dora requester=clinic-b purpose=TREAT data_class=9
clinic-b: access.request rid=@visit subject=@dora custodian=hospital-a purpose=TREAT seal_key=@box data_class=3 practitioner=@nurse
hospital-a: access.decide rid=@visit permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=@clinic:16 basis_version=1
hospital-a: access.release rid=@visit commitments=["@blood"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
clinic-b: access.ack rid=@visit number=0 arrived=items:@blood outcome=ok
clinic-b: access.request rid=@curious subject=@dora custodian=hospital-a purpose=TREAT seal_key=@box data_class=9 practitioner=@nurse
hospital-a: access.decide rid=@curious permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=@clinic:16 basis_version=1
hospital-a: access.decide rid=@curious permit=false residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=@private:16 basis_version=1
----
decision:
  permit: no
  reason: patient-denies
  basis: @private:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @clinic:16
      version: 1
      verdict: overridden
    - kind: consent
      id: @private:16
      version: 1
      verdict: decides
    - kind: consent
      id: @maker:16
      version: 1
      verdict: other-party
  version: 1
basis_name: -
english: No, it is not allowed. The patient has said no.
chinese: 不可以，未获准许。患者已拒绝。
height: 9
time_ms: day 0 00:00:09
applied
applied
applied
applied
applied
access-decision-disagrees
applied

# A week later Dora lies unconscious in the clinic. The nurse breaks the glass: it opens at once, for
# a day, and somebody else has to look at it within a week. The clinic may not judge itself; the
# agency finds that it was right.
later 7d
clinic-b: access.glass rid=@emergency subject=@dora custodian=hospital-a reason=life-threatening practitioner=@quack seal_key=@box
clinic-b: access.glass rid=@emergency subject=@dora custodian=hospital-a reason=life-threatening practitioner=@nurse seal_key=@box
hospital-a: access.release rid=@emergency commitments=["@psyche"] wraps=@wraps-2 residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
clinic-b: access.ack rid=@emergency number=0 arrived=items:@psyche outcome=ok
clinic-b: access.review rid=@emergency finding=justified
agency-d: access.review rid=@emergency finding=justified
----
access-practitioner-invalid
applied
applied
applied
access-reviewer-barred
applied

# The law makes the hospital report a case to the health authority. No request of a member went
# before it; it is accounted for all the same. Only who has the patient can account for it.
hospital-a: access.disclose did=@report subject=@dora purpose=PUBHLTH kind=authority items=1 digest=items:@blood happened_ms=time:said
clinic-b: access.disclose did=@report-2 subject=@dora purpose=PUBHLTH kind=authority items=1 digest=items:@blood happened_ms=time:said
----
applied
access-subject-unknown

# Thirty days are over: the permit of the clinic has ended by ledger time. The request of the first
# day has ended too, and nothing more is handed over for it.
later 24d
hospital-a: access.release rid=@visit commitments=["@blood"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
----
access-expired

# She goes one step further: out of everything. Not even an emergency opens that, and she is told so.
hospital-a: consent.optout subject=@dora scope=whole +dora
clinic-b: access.glass rid=@again subject=@dora custodian=hospital-a reason=life-threatening practitioner=@nurse seal_key=@box
----
applied
access-glass-refused

# Her view. What have I said? Could clinic-b see anything today? (Nothing, for any purpose.) And what
# was the answer on the day that she said it?
ask consent.list subject=@dora
ask consent.who subject=@dora limit=10
ask consent.may subject=@dora requester=clinic-b purpose=TREAT data_class=3 at_height=height:said at_ms=time:said
----
known: yes
count: 3
opted_out: whole
consents:
  - cid: @clinic:16
    version: 1
    status: expired
    permit: yes
    purposes: TREAT
    how: signed
    policy: -
    from_ms: day 0 00:00:07
    until_ms: day 30 00:00:07
  - cid: @private:16
    version: 1
    status: active
    permit: no
    purposes: -
    how: signed
    policy: -
    from_ms: day 0 00:00:08
    until_ms: -
  - cid: @maker:16
    version: 1
    status: active
    permit: no
    purposes: -
    how: signed
    policy: -
    from_ms: day 0 00:00:09
    until_ms: -
next: -
known: yes
lines:
  - org: clinic-b
    role: -
    practitioner: -
    purpose: BTG
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: ETREAT
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HLEGAL
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HOPERAT
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HPAYMT
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HQUALIMP
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HRESCH
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: PATRQT
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: PUBHLTH
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
  - org: clinic-b
    role: -
    practitioner: -
    purpose: TREAT
    permit: no
    limited: no
    reason: patient-opted-out
    basis: whole
next: 10
decision:
  permit: yes
  reason: patient-permits
  basis: @clinic:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @clinic:16
      version: 1
      verdict: decides
    - kind: consent
      id: @private:16
      version: 1
      verdict: other-data
    - kind: consent
      id: @maker:16
      version: 1
      verdict: other-party
  version: 1
basis_name: -
english: Yes, it is allowed. The patient has said yes.
chinese: 可以，已获准许。患者已同意。
height: 9
time_ms: day 0 00:00:10

# Who saw my data, when, why, on whose permission, and what left the house? The list is counted:
# nothing can be left out of it.
ask access.log subject=@dora
----
count: 11
chain: e16e226c..
first: 0
events:
  - number: 0
    event: request
    rid: @visit
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: TREAT
    data_class: 3
    reason: -
    basis: -
    items: 0
    digest: -
    happened_ms: day 0 00:00:10
    time_ms: day 0 00:00:10
    height: 10
    txid: 79b4c273..
  - number: 1
    event: permit
    rid: @visit
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: TREAT
    data_class: 3
    reason: patient-permits
    basis: @clinic:16
    items: 0
    digest: -
    happened_ms: day 0 00:00:11
    time_ms: day 0 00:00:11
    height: 11
    txid: 777513e0..
  - number: 2
    event: release
    rid: @visit
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: TREAT
    data_class: 3
    reason: -
    basis: -
    items: 1
    digest: be6ccf88..
    happened_ms: day 0 00:00:12
    time_ms: day 0 00:00:12
    height: 12
    txid: f686e359..
  - number: 3
    event: receipt
    rid: @visit
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: TREAT
    data_class: 3
    reason: ok
    basis: -
    items: 1
    digest: be6ccf88..
    happened_ms: day 0 00:00:13
    time_ms: day 0 00:00:13
    height: 13
    txid: 6aef8dc9..
  - number: 4
    event: request
    rid: @curious
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: TREAT
    data_class: 9
    reason: -
    basis: -
    items: 0
    digest: -
    happened_ms: day 0 00:00:14
    time_ms: day 0 00:00:14
    height: 14
    txid: 85a14dee..
  - number: 5
    event: deny
    rid: @curious
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: TREAT
    data_class: 9
    reason: patient-denies
    basis: @private:16
    items: 0
    digest: -
    happened_ms: day 0 00:00:16
    time_ms: day 0 00:00:16
    height: 16
    txid: d3110072..
  - number: 6
    event: glass
    rid: @emergency
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: BTG
    data_class: -
    reason: life-threatening
    basis: 766965772d3036
    items: 0
    digest: -
    happened_ms: day 7 00:00:19
    time_ms: day 7 00:00:19
    height: 19
    txid: 47352be0..
  - number: 7
    event: release
    rid: @emergency
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: BTG
    data_class: -
    reason: -
    basis: -
    items: 1
    digest: 7e1c4ad0..
    happened_ms: day 7 00:00:20
    time_ms: day 7 00:00:20
    height: 20
    txid: e68e43fe..
  - number: 8
    event: receipt
    rid: @emergency
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: BTG
    data_class: -
    reason: ok
    basis: -
    items: 1
    digest: 7e1c4ad0..
    happened_ms: day 7 00:00:21
    time_ms: day 7 00:00:21
    height: 21
    txid: 1bf6dc14..
  - number: 9
    event: review
    rid: @emergency
    org: agency-d
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @nurse
    purpose: BTG
    data_class: -
    reason: justified
    basis: -
    items: 0
    digest: -
    happened_ms: day 7 00:00:23
    time_ms: day 7 00:00:23
    height: 23
    txid: 71eb37a7..
  - number: 10
    event: disclosure
    rid: @report
    org: hospital-a
    custodian: hospital-a
    recipient: -
    practitioner: -
    purpose: PUBHLTH
    data_class: -
    reason: authority
    basis: -
    items: 1
    digest: be6ccf88..
    happened_ms: day 0 00:00:10
    time_ms: day 7 00:00:24
    height: 24
    txid: 2100623e..
next: -
