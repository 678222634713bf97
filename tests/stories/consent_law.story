# Laws stand before what patients say: duties to report, orders of a court, prohibitions.
network health-office:regulator hospital-a:author,custodian insurer-i:payer labour-office:regulator registry-r:research uni-r:research
hospital-a: identity.patient.bind subject=@cleo sign_key=key:cleo seal_key=@cleo-seal level=3 +cleo
health-office: consent.policy.publish policy=silence kind=overarching digest=@text default=all-normal glass=["primary","rule"]
hospital-a: consent.optout subject=@cleo scope=whole +cleo
----
applied
applied
applied

# The law on infectious diseases: class 9 must go to the registry, opt-out or not.
hospital-a: consent.preempt law=infection-act permit=true purposes=["PUBHLTH"] orgs=["registry-r"] classes=[9]
health-office: consent.preempt law=infection-act permit=true purposes=["PUBHLTH"] orgs=["registry-r"] classes=[9]
ask consent.may subject=@cleo requester=registry-r purpose=PUBHLTH data_class=9
----
role-missing
applied
decision:
  permit: yes
  reason: law-preempts
  basis: 696e66656374696f6e2d616374
  basis_version: 1
  residual: -
  considered:
    - kind: law
      id: infection-act
      version: 1
      verdict: decides
  version: 1
basis_name: infection-act
english: Yes, it is allowed. A law decides this, whatever the patient has said.
chinese: 可以，已获准许。法律对此有规定，优先于患者的意愿。
height: 5
time_ms: day 0 00:00:05

ask consent.may subject=@cleo requester=registry-r purpose=PUBHLTH
----
decision:
  permit: no
  reason: patient-opted-out
  basis: 77686f6c65
  basis_version: 1
  residual: -
  considered:
    - kind: law
      id: infection-act
      version: 1
      verdict: part-only
    - kind: opt-out
      id: whole
      version: 1
      verdict: decides
  version: 1
basis_name: whole
english: No, it is not allowed. The patient has opted out of this kind of use.
chinese: 不可以，未获准许。患者已选择退出此类使用。
height: 5
time_ms: day 0 00:00:05

# Insurers must not do research with records, whatever a patient signs: such a consent is not
# taken, and one that says more than that is overruled where the law speaks.
health-office: consent.preempt law=insurance-act permit=false purposes=["HRESCH"] roles=["payer"]
hospital-a: consent.optin subject=@cleo scope=whole +cleo
hospital-a: consent.grant cid=@sell:16 subject=@cleo rule={"permit":true,"scope":{"roles":["payer"],"purposes":["HRESCH"]}} +cleo
hospital-a: consent.grant cid=@all:16 subject=@cleo rule={"permit":true} +cleo
ask consent.may subject=@cleo requester=insurer-i purpose=HRESCH
----
applied
applied
consent-law-forbids
applied
decision:
  permit: no
  reason: law-preempts
  basis: 696e737572616e63652d616374
  basis_version: 1
  residual: -
  considered:
    - kind: law
      id: insurance-act
      version: 1
      verdict: decides
  version: 1
basis_name: insurance-act
english: No, it is not allowed. A law decides this, whatever the patient has said.
chinese: 不可以，未获准许。法律对此有规定，优先于患者的意愿。
height: 9
time_ms: day 0 00:00:09

ask consent.may subject=@cleo requester=uni-r purpose=HRESCH
----
decision:
  permit: yes
  reason: patient-permits
  basis: @all:16
  basis_version: 1
  residual: -
  considered:
    - kind: law
      id: insurance-act
      version: 1
      verdict: other-party
    - kind: consent
      id: @all:16
      version: 1
      verdict: decides
  version: 1
basis_name: -
english: Yes, it is allowed. The patient has said yes.
chinese: 可以，已获准许。患者已同意。
height: 9
time_ms: day 0 00:00:09

# A court orders that Cleo's records go to the labour office, for ten days.
labour-office: consent.preempt law=order-17 permit=true purposes=["HLEGAL"] orgs=["labour-office"] subject=@cleo until_ms=+10d
ask consent.laws purpose=HLEGAL subject=@cleo
----
applied
laws:
  - now: yes
    law:
      law: order-17
      version: 1
      org: labour-office
      permit: yes
      purposes: HLEGAL
      custodians: -
      orgs: labour-office
      roles: -
      classes: -
      subject: @cleo
      from_ms: 0
      until_ms: day 10 00:00:10
      from_height: 10
next: -

ask consent.may subject=@cleo requester=labour-office purpose=HLEGAL
----
decision:
  permit: yes
  reason: law-preempts
  basis: 6f726465722d3137
  basis_version: 1
  residual: -
  considered:
    - kind: law
      id: order-17
      version: 1
      verdict: decides
  version: 1
basis_name: order-17
english: Yes, it is allowed. A law decides this, whatever the patient has said.
chinese: 可以，已获准许。法律对此有规定，优先于患者的意愿。
height: 10
time_ms: day 0 00:00:10

later 11d
ask consent.may subject=@cleo requester=labour-office purpose=HLEGAL
----
decision:
  permit: yes
  reason: patient-permits
  basis: @all:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @all:16
      version: 1
      verdict: decides
  version: 1
basis_name: -
english: Yes, it is allowed. The patient has said yes.
chinese: 可以，已获准许。患者已同意。
height: 11
time_ms: day 11 00:00:11

# Only who stated a law ends it, and once.
labour-office: consent.unpreempt law=insurance-act
health-office: consent.unpreempt law=insurance-act
health-office: consent.unpreempt law=insurance-act
health-office: consent.unpreempt law=corn-law
labour-office: consent.preempt law=infection-act permit=true purposes=["PUBHLTH"]
labour-office: consent.policy.publish policy=silence kind=basis digest=@text
ask consent.may subject=@cleo requester=insurer-i purpose=HRESCH
----
consent-law-taken
applied
consent-law-ended
consent-law-unknown
consent-law-taken
consent-policy-taken
decision:
  permit: yes
  reason: patient-permits
  basis: @all:16
  basis_version: 1
  residual: -
  considered:
    - kind: consent
      id: @all:16
      version: 1
      verdict: decides
  version: 1
basis_name: -
english: Yes, it is allowed. The patient has said yes.
chinese: 可以，已获准许。患者已同意。
height: 17
time_ms: day 11 00:00:17

# A stricter policy takes over: now only an emergency opens what a patient did not permit.
hospital-a: consent.revoke cid=@all:16 +cleo
health-office: consent.policy.publish policy=silence kind=overarching digest=@text default=break-glass-only glass=[]
ask consent.may subject=@cleo requester=uni-r purpose=TREAT
----
applied
applied
decision:
  permit: no
  reason: implicit-policy
  basis: 73696c656e6365
  basis_version: 2
  residual: -
  considered:
    - kind: policy
      id: silence
      version: 2
      verdict: decides
  version: 1
basis_name: silence
english: No, it is not allowed. The patient has said nothing about this, so the network's general policy applies.
chinese: 不可以，未获准许。患者对此没有作出表示，适用网络的一般政策。
height: 19
time_ms: day 11 00:00:19

ask consent.may subject=@cleo requester=uni-r purpose=TREAT break_glass=true
----
decision:
  permit: yes
  reason: break-glass
  basis: 73696c656e6365
  basis_version: 2
  residual: -
  considered:
    - kind: break-glass
      id: silence
      version: 2
      verdict: decides
  version: 1
basis_name: silence
english: Yes, it is allowed. It is an emergency: access was opened and will be reviewed.
chinese: 可以，已获准许。紧急情况：已开放访问，事后将接受审查。
height: 19
time_ms: day 11 00:00:19

ask consent.may subject=@cleo requester=uni-r purpose=HRESCH break_glass=true
----
decision:
  permit: no
  reason: implicit-policy
  basis: 73696c656e6365
  basis_version: 2
  residual: -
  considered:
    - kind: break-glass
      id: silence
      version: 2
      verdict: glass-not-for-purpose
    - kind: policy
      id: silence
      version: 2
      verdict: decides
  version: 1
basis_name: silence
english: No, it is not allowed. The patient has said nothing about this, so the network's general policy applies.
chinese: 不可以，未获准许。患者对此没有作出表示，适用网络的一般政策。
height: 19
time_ms: day 11 00:00:19

# Once the binding has ended nothing is permitted, and nothing more can be said.
hospital-a: identity.patient.end subject=@cleo
hospital-a: consent.optout subject=@cleo scope=primary +cleo
hospital-a: consent.optout subject=@nobody scope=primary +cleo
ask consent.may subject=@cleo requester=uni-r purpose=TREAT break_glass=true
----
applied
consent-subject-ended
consent-subject-unknown
decision:
  permit: no
  reason: subject-ended
  basis: -
  basis_version: 0
  residual: -
  considered: -
  version: 1
basis_name: -
english: No, it is not allowed. This patient has left the ledger.
chinese: 不可以，未获准许。这位患者已退出账本。
height: 22
time_ms: day 11 00:00:22
