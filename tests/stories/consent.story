# Anna is a patient of hospital-a.  She decides who may see what, for which purpose, until when.
network clinic-b:author health-office:regulator hospital-a:author,custodian lab-c:laboratory uni-r:research
hospital-a: identity.patient.bind subject=@anna sign_key=key:anna seal_key=@anna-seal level=2 +anna
----
applied

# Nobody has published a policy and Anna has said nothing: nothing is permitted.
ask consent.may subject=@anna requester=clinic-b purpose=TREAT
----
decision:
  permit: no
  reason: no-policy
  basis: -
  basis_version: 0
  residual: -
  considered: -
  version: 1
basis_name: -
english: No, it is not allowed. The patient has said nothing about this and the network has no general policy.
chinese: 不可以，未获准许。患者对此没有作出表示，网络也没有一般政策。
height: 1
time_ms: day 0 00:00:01

# The health office publishes what holds for patients who say nothing: treatment is permitted,
# and an emergency may override a patient's denying rule, but not an opt-out of everything.
clinic-b: consent.policy.publish policy=silence kind=overarching digest=@text default=basic-normal
health-office: consent.policy.publish policy=silence kind=overarching digest=@text default=basic-normal glass=["rule"]
health-office: consent.policy.publish policy=leaflet kind=basis digest=@leaflet
ask consent.implicit
----
role-missing
applied
applied
known: yes
policy:
  policy: silence
  version: 1
  kind: overarching
  digest: @text
  default: basic-normal
  glass: rule
  org: health-office
  from_height: 3
  from_ms: day 0 00:00:03

ask consent.may subject=@anna requester=clinic-b purpose=TREAT
----
decision:
  permit: yes
  reason: implicit-policy
  basis: 73696c656e6365
  basis_version: 1
  residual: -
  considered:
    - kind: policy
      id: silence
      version: 1
      verdict: decides
  version: 1
basis_name: silence
english: Yes, it is allowed. The patient has said nothing about this, so the network's general policy applies.
chinese: 可以，已获准许。患者对此没有作出表示，适用网络的一般政策。
height: 4
time_ms: day 0 00:00:04

ask consent.may subject=@anna requester=uni-r purpose=HRESCH
----
decision:
  permit: no
  reason: implicit-policy
  basis: 73696c656e6365
  basis_version: 1
  residual: -
  considered:
    - kind: policy
      id: silence
      version: 1
      verdict: decides
  version: 1
basis_name: silence
english: No, it is not allowed. The patient has said nothing about this, so the network's general policy applies.
chinese: 不可以，未获准许。患者对此没有作出表示，适用网络的一般政策。
height: 4
time_ms: day 0 00:00:04

# Anna permits research with records of class 3, for 30 days, but nothing about HIV.  Any
# institution may carry her signature; without it nothing is recorded.
clinic-b: consent.grant cid=@research:16 subject=@anna rule={"permit":true,"scope":{"orgs":["uni-r"],"purposes":["HRESCH"],"classes":[3],"until_ms":"+30d"},"exemptions":[{"permit":false,"scope":{"labels":["HIV"]}}]} policy=leaflet
clinic-b: consent.grant cid=@research:16 subject=@anna rule={"permit":true,"scope":{"orgs":["uni-r"],"purposes":["HRESCH"],"classes":[3],"until_ms":"+30d"},"exemptions":[{"permit":false,"scope":{"labels":["HIV"]}}]} policy=brochure +anna
clinic-b: consent.grant cid=@research:16 subject=@anna rule={"permit":true,"scope":{"orgs":["uni-r"],"purposes":["HRESCH"],"classes":[3],"until_ms":"+30d"},"exemptions":[{"permit":false,"scope":{"labels":["HIV"]}}]} policy=leaflet +anna
----
consent-signature-missing
consent-policy-unknown
applied

# The university gets class 3, with a filter to apply; class 3 about HIV it does not get.
ask consent.may subject=@anna requester=uni-r purpose=HRESCH data_class=3
----
decision:
  permit: yes
  reason: patient-permits
  basis: @research:16
  basis_version: 1
  residual:
    - kind: consent
      source: @research:16
      permit: yes
      exempt: no
      classes: 3
      labels: -
      named: -
      data_from_ms: -
      data_until_ms: -
    - kind: consent
      source: @research:16
      permit: no
      exempt: yes
      classes: 3
      labels: HIV
      named: -
      data_from_ms: -
      data_until_ms: -
  considered:
    - kind: consent
      id: @research:16
      version: 1
      verdict: decides
  version: 1
basis_name: -
english: Yes, but only for a part of the data. The patient has said yes.
chinese: 可以，但仅限部分数据。患者已同意。
height: 7
time_ms: day 0 00:00:07

ask consent.may subject=@anna requester=uni-r purpose=HRESCH data_class=3 labels=["HIV"]
----
decision:
  permit: no
  reason: patient-denies
  basis: @research:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @research:16
      version: 1
      verdict: decides
  version: 1
basis_name: -
english: No, it is not allowed. The patient has said no.
chinese: 不可以，未获准许。患者已拒绝。
height: 7
time_ms: day 0 00:00:07

ask consent.may subject=@anna requester=uni-r purpose=HRESCH data_class=4
----
decision:
  permit: no
  reason: implicit-policy
  basis: 73696c656e6365
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @research:16
      version: 1
      verdict: other-data
    - kind: policy
      id: silence
      version: 1
      verdict: decides
  version: 1
basis_name: silence
english: No, it is not allowed. The patient has said nothing about this, so the network's general policy applies.
chinese: 不可以，未获准许。患者对此没有作出表示，适用网络的一般政策。
height: 7
time_ms: day 0 00:00:07

# Anna does not want clinic-b to see anything.  She says so on paper: the hospital attests it,
# with a commitment to the form; another institution cannot.
lab-c: consent.grant cid=@not-clinic:16 subject=@anna rule={"permit":false,"scope":{"orgs":["clinic-b"]}} how=ink source=@form
hospital-a: consent.grant cid=@not-clinic:16 subject=@anna rule={"permit":false,"scope":{"orgs":["clinic-b"]}} how=ink source=@form
hospital-a: consent.grant cid=@not-clinic:16 subject=@anna rule={"permit":false} how=ink source=@form
ask consent.may subject=@anna requester=clinic-b purpose=TREAT
----
consent-not-custodian
applied
consent-exists
decision:
  permit: no
  reason: patient-denies
  basis: @not-clinic:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @research:16
      version: 1
      verdict: other-party
    - kind: consent
      id: @not-clinic:16
      version: 1
      verdict: decides
  version: 1
basis_name: -
english: No, it is not allowed. The patient has said no.
chinese: 不可以，未获准许。患者已拒绝。
height: 10
time_ms: day 0 00:00:10

# A denial wins over every permit, also over a later and more specific one.
clinic-b: consent.grant cid=@clinic:16 subject=@anna rule={"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"]}} +anna
ask consent.may subject=@anna requester=clinic-b purpose=TREAT
----
applied
decision:
  permit: no
  reason: patient-denies
  basis: @not-clinic:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @research:16
      version: 1
      verdict: other-party
    - kind: consent
      id: @not-clinic:16
      version: 1
      verdict: decides
    - kind: consent
      id: @clinic:16
      version: 1
      verdict: overridden
  version: 1
basis_name: -
english: No, it is not allowed. The patient has said no.
chinese: 不可以，未获准许。患者已拒绝。
height: 11
time_ms: day 0 00:00:11

# Anna is brought to clinic-b unconscious.  The glass may be broken over her rule.
ask consent.may subject=@anna requester=clinic-b purpose=ETREAT break_glass=true
----
decision:
  permit: yes
  reason: break-glass
  basis: 73696c656e6365
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @not-clinic:16
      version: 1
      verdict: overridden
    - kind: break-glass
      id: silence
      version: 1
      verdict: decides
  version: 1
basis_name: silence
english: Yes, it is allowed. It is an emergency: access was opened and will be reviewed.
chinese: 可以，已获准许。紧急情况：已开放访问，事后将接受审查。
height: 11
time_ms: day 0 00:00:11

# Later she opts out of everything; now the glass stays whole.
later 2d
hospital-a: consent.optout subject=@anna scope=whole +anna
hospital-a: consent.optout subject=@anna scope=whole +anna
ask consent.may subject=@anna requester=clinic-b purpose=ETREAT break_glass=true
----
applied
consent-out-already
decision:
  permit: no
  reason: patient-opted-out
  basis: 77686f6c65
  basis_version: 1
  residual: -
  considered:
    - kind: break-glass
      id: silence
      version: 1
      verdict: glass-over-denial
    - kind: opt-out
      id: whole
      version: 1
      verdict: decides
  version: 1
basis_name: whole
english: No, it is not allowed. The patient has opted out of this kind of use.
chinese: 不可以，未获准许。患者已选择退出此类使用。
height: 14
time_ms: day 2 00:00:14

hospital-a: consent.optin subject=@anna scope=primary +anna
hospital-a: consent.optin subject=@anna scope=whole +anna
----
consent-not-out
applied

# She forgives the clinic and revokes the denial.  Revoking twice is refused.
hospital-a: consent.revoke cid=@not-clinic:16 +anna
hospital-a: consent.revoke cid=@not-clinic:16 +anna
ask consent.may subject=@anna requester=clinic-b purpose=TREAT
----
applied
consent-closed
decision:
  permit: yes
  reason: patient-permits
  basis: @clinic:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @research:16
      version: 1
      verdict: other-party
    - kind: consent
      id: @clinic:16
      version: 1
      verdict: decides
  version: 1
basis_name: -
english: Yes, it is allowed. The patient has said yes.
chinese: 可以，已获准许。患者已同意。
height: 18
time_ms: day 2 00:00:18

# Revoking is never retroactive: after block 11 it was denied, and that is still the answer.
ask consent.may subject=@anna requester=clinic-b purpose=TREAT at_height=11 at_ms=1767225611000
----
decision:
  permit: no
  reason: patient-denies
  basis: @not-clinic:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @research:16
      version: 1
      verdict: other-party
    - kind: consent
      id: @not-clinic:16
      version: 1
      verdict: decides
    - kind: consent
      id: @clinic:16
      version: 1
      verdict: overridden
  version: 1
basis_name: -
english: No, it is not allowed. The patient has said no.
chinese: 不可以，未获准许。患者已拒绝。
height: 11
time_ms: day 0 00:00:11

# She makes the research consent longer; an amendment of a version that is not the last fails.
hospital-a: consent.amend cid=@research:16 version=1 rule={"permit":true,"scope":{"orgs":["uni-r"],"purposes":["HRESCH"],"until_ms":"+60d"}} +anna
hospital-a: consent.amend cid=@research:16 version=1 rule={"permit":true} +anna
hospital-a: consent.amend cid=@research:16 version=2 rule={"permit":true,"scope":{"until_ms":1}} +anna
hospital-a: consent.amend cid=@nothing:16 version=2 rule={"permit":true} +anna
ask consent.history cid=@research:16
----
applied
consent-version-stale
consent-period-over
consent-unknown
known: yes
subject: @anna
status: active
versions:
  - cid: @research:16
    version: 1
    rule:
      permit: yes
      scope:
        orgs: uni-r
        roles: -
        practitioners: -
        purposes: HRESCH
        classes: 3
        labels: -
        named: -
        data_from_ms: -
        data_until_ms: -
        from_ms: -
        until_ms: day 30 00:00:07
      exemptions:
        - permit: no
          scope:
            orgs: -
            roles: -
            practitioners: -
            purposes: -
            classes: -
            labels: HIV
            named: -
            data_from_ms: -
            data_until_ms: -
            from_ms: -
            until_ms: -
    how: signed
    signer: key:anna
    org: clinic-b
    source: -
    policy: leaflet
    txid: 5f04a8e3..
    number: 0
    from_height: 7
    from_ms: day 0 00:00:07
    until_height: 19
    ended_ms: day 2 00:00:19
    end: amended
    end_txid: b6f8991c..
  - cid: @research:16
    version: 2
    rule:
      permit: yes
      scope:
        orgs: uni-r
        roles: -
        practitioners: -
        purposes: HRESCH
        classes: -
        labels: -
        named: -
        data_from_ms: -
        data_until_ms: -
        from_ms: -
        until_ms: day 62 00:00:19
      exemptions: -
    how: signed
    signer: key:anna
    org: hospital-a
    source: -
    policy: -
    txid: b6f8991c..
    number: 0
    from_height: 19
    from_ms: day 2 00:00:19
    until_height: -
    ended_ms: -
    end: 
    end_txid: -
next: -

ask consent.list subject=@anna
----
known: yes
count: 3
opted_out: -
consents:
  - cid: @research:16
    version: 2
    status: active
    permit: yes
    purposes: HRESCH
    how: signed
    policy: -
    from_ms: day 2 00:00:19
    until_ms: day 62 00:00:19
  - cid: @not-clinic:16
    version: 1
    status: revoked
    permit: no
    purposes: -
    how: ink
    policy: -
    from_ms: day 0 00:00:09
    until_ms: day 2 00:00:17
  - cid: @clinic:16
    version: 1
    status: active
    permit: yes
    purposes: TREAT
    how: signed
    policy: -
    from_ms: day 0 00:00:11
    until_ms: -
next: -

# Three weeks before its end it shows among the consents that end soon; after it, it is over.
later 40d
ask consent.expiring subject=@anna
----
consents:
  - cid: @research:16
    version: 2
    status: active
    permit: yes
    purposes: HRESCH
    how: signed
    policy: -
    from_ms: day 2 00:00:19
    until_ms: day 62 00:00:19

later 30d
ask consent.may subject=@anna requester=uni-r purpose=HRESCH
----
decision:
  permit: no
  reason: implicit-policy
  basis: 73696c656e6365
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @research:16
      version: 2
      verdict: expired
    - kind: consent
      id: @clinic:16
      version: 1
      verdict: other-party
    - kind: policy
      id: silence
      version: 1
      verdict: decides
  version: 1
basis_name: silence
english: No, it is not allowed. The patient has said nothing about this, so the network's general policy applies.
chinese: 不可以，未获准许。患者对此没有作出表示，适用网络的一般政策。
height: 24
time_ms: day 72 00:00:24

# Who could see what today: whom her rules name, then anybody else.
ask consent.who subject=@anna limit=22
----
known: yes
lines:
  - org: clinic-b
    role: -
    practitioner: -
    purpose: BTG
    permit: yes
    limited: no
    reason: break-glass
    basis: silence
  - org: clinic-b
    role: -
    practitioner: -
    purpose: ETREAT
    permit: yes
    limited: no
    reason: patient-permits
    basis: @clinic:16
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HLEGAL
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HOPERAT
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HPAYMT
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HQUALIMP
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: clinic-b
    role: -
    practitioner: -
    purpose: HRESCH
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: clinic-b
    role: -
    practitioner: -
    purpose: PATRQT
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: clinic-b
    role: -
    practitioner: -
    purpose: PUBHLTH
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: clinic-b
    role: -
    practitioner: -
    purpose: TREAT
    permit: yes
    limited: no
    reason: patient-permits
    basis: @clinic:16
  - org: uni-r
    role: -
    practitioner: -
    purpose: BTG
    permit: yes
    limited: no
    reason: break-glass
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: ETREAT
    permit: yes
    limited: no
    reason: implicit-policy
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: HLEGAL
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: HOPERAT
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: HPAYMT
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: HQUALIMP
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: HRESCH
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: PATRQT
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: PUBHLTH
    permit: no
    limited: no
    reason: implicit-policy
    basis: silence
  - org: uni-r
    role: -
    practitioner: -
    purpose: TREAT
    permit: yes
    limited: no
    reason: implicit-policy
    basis: silence
  - org: -
    role: -
    practitioner: -
    purpose: BTG
    permit: yes
    limited: no
    reason: break-glass
    basis: silence
  - org: -
    role: -
    practitioner: -
    purpose: ETREAT
    permit: yes
    limited: no
    reason: implicit-policy
    basis: silence
next: 22
