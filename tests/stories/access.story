# Anna moves house. Her records are at hospital-a; clinic-b treats her now and has to ask for
# them. The network permits treatment where a patient said nothing, and nothing else.
network clinic-b:author,custodian health-office:regulator hospital-a:author,custodian payer-c:payer uni-r:research
hospital-a: identity.patient.bind subject=@anna sign_key=key:anna seal_key=@anna-seal level=2 +anna
clinic-b: identity.practitioner.issue licence=@licence profession=nurse from_ms=+0d until_ms=+365d
health-office: consent.policy.publish policy=silence kind=overarching digest=@text default=basic-normal
hospital-a: record.anchor commitment=@scan tag=@tag-1:16 canon=4
hospital-a: record.anchor commitment=@letter tag=@tag-2:16 canon=2
clinic-b: record.anchor commitment=@note tag=@tag-3:16 canon=2
----
applied
applied
applied
applied
applied
applied

# What cannot be asked: for a patient that hospital-a does not know, of oneself, for a purpose
# that the institution has no role for, by somebody without a licence, without end.
clinic-b: access.request rid=@r1 subject=@nobody custodian=hospital-a purpose=TREAT seal_key=@seal
hospital-a: access.request rid=@r1 subject=@anna custodian=hospital-a purpose=TREAT seal_key=@seal
payer-c: access.request rid=@r1 subject=@anna custodian=hospital-a purpose=TREAT seal_key=@seal
clinic-b: access.request rid=@r1 subject=@anna custodian=hospital-a purpose=TREAT seal_key=@seal practitioner=@quack
clinic-b: access.request rid=@r1 subject=@anna custodian=hospital-a purpose=TREAT seal_key=@seal until_ms=+999d
----
access-subject-unknown
access-own-records
access-purpose-role
access-practitioner-invalid
access-until-invalid

# A nurse of clinic-b asks for data of class 3. What would the consents say? Anybody may look.
clinic-b: access.request rid=@r1 subject=@anna custodian=hospital-a purpose=TREAT seal_key=@seal data_class=3 practitioner=@licence
ask access.verdict rid=@r1
----
applied
known: yes
status: open
permit: yes
live: no
basis: 73696c656e6365
basis_version: 1
residual: 5132ad68..
reason: implicit-policy
height: 12

# The hospital would rather keep its records: it denies, but that is not what the rules give.
# Neither may it hand over without a decision. Only the answer that every node computes counts.
hospital-a: access.decide rid=@r1 permit=false residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=10 basis=73696c656e6365 basis_version=1
hospital-a: access.decide rid=@r1 permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=10
hospital-a: access.release rid=@r1 commitments=["@scan"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
hospital-a: access.decide rid=@r1 permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=999 basis=73696c656e6365 basis_version=1
clinic-b: access.decide rid=@r1 permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=10 basis=73696c656e6365 basis_version=1
hospital-a: access.decide rid=@r1 permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=10 basis=73696c656e6365 basis_version=1
hospital-a: access.decide rid=@r1 permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=10 basis=73696c656e6365 basis_version=1
----
access-decision-disagrees
access-decision-disagrees
access-not-permitted
access-height-ahead
access-not-custodian
applied
access-decided

# What is handed over must be the hospital's own, anchored, and filtered as the consents say.
hospital-a: access.release rid=@r1 commitments=["@scan","@unheard"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
hospital-a: access.release rid=@r1 commitments=["@scan","@note"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
hospital-a: access.release rid=@r1 commitments=["@scan"] wraps=@wraps residual=@nothing
hospital-a: access.release rid=@r1 commitments=["@scan","@letter"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
----
access-record-unknown
access-record-not-custodian
access-residual-differs
applied

# One of the two documents did not arrive, so it is not in order, and the clinic says what is
# wrong. The hospital sends that one again, and the clinic forgets to answer: after a day the
# clock says so, in the same block everywhere.
clinic-b: access.ack rid=@r1 number=0 arrived=90db528d2a889bc811944bab791a25a4e034af70a61e7f0418df3d71ef496c39 outcome=ok
clinic-b: access.ack rid=@r1 number=0 arrived=90db528d2a889bc811944bab791a25a4e034af70a61e7f0418df3d71ef496c39 outcome=mismatch-missing
clinic-b: access.ack rid=@r1 number=1 arrived=90db528d2a889bc811944bab791a25a4e034af70a61e7f0418df3d71ef496c39 outcome=ok
hospital-a: access.release rid=@r1 commitments=["@letter"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
ask access.overdue org=clinic-b
ask access.overdue org=clinic-b waiting=true
later 25h
ask access.overdue org=clinic-b
----
access-ack-contradicts
applied
access-release-unknown
applied
count: 1
duties: -
batch_late: no
next: -
count: 1
duties:
  - kind: acknowledge
    rid: @r1
    part: 1
    org: clinic-b
    since_ms: day 0 00:00:27
    due_ms: day 1 00:00:27
    overdue: no
batch_late: no
next: -
count: 1
duties:
  - kind: acknowledge
    rid: @r1
    part: 1
    org: clinic-b
    since_ms: day 0 00:00:27
    due_ms: day 1 00:00:27
    overdue: yes
batch_late: no
next: -

# Anna sees that, and takes back what her silence permitted. The decision stands in the log as
# it was, but nothing is handed over any more.
hospital-a: consent.grant cid=@stop:16 subject=@anna rule='{"permit":false,"scope":{"orgs":["clinic-b"]}}' +anna
hospital-a: access.release rid=@r1 commitments=["@scan"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
ask access.verdict rid=@r1
----
applied
access-permit-gone
known: yes
status: permitted
permit: no
live: no
basis: @stop:16
basis_version: 1
residual: 5132ad68..
reason: patient-denies
height: 30

# The hospital also reported a case to the health authority, which the law asks for. No request
# of a member went before it; it is in the accounting all the same. So is the university's
# request, though it is denied.
hospital-a: access.disclose did=@d1 subject=@anna purpose=PUBHLTH kind=authority items=1 digest=90db528d2a889bc811944bab791a25a4e034af70a61e7f0418df3d71ef496c39 happened_ms=1767225605000
clinic-b: access.disclose did=@d2 subject=@anna purpose=PUBHLTH kind=authority items=1 digest=90db528d2a889bc811944bab791a25a4e034af70a61e7f0418df3d71ef496c39 happened_ms=1767225605000
uni-r: access.request rid=@r2 subject=@anna custodian=hospital-a purpose=HRESCH seal_key=@seal
hospital-a: access.decide rid=@r2 permit=false residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=20 basis=73696c656e6365 basis_version=1
----
applied
access-subject-unknown
applied
applied

# Who saw my data, when, and why? The list is counted: nothing can be left out of it.
ask access.log subject=@anna limit=4
ask access.log subject=@anna from_ms=1767312000000
----
count: 9
chain: e4a858ed..
first: 0
events:
  - number: 0
    event: request
    rid: @r1
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: -
    basis: -
    items: 0
    digest: -
    happened_ms: day 0 00:00:12
    time_ms: day 0 00:00:12
    height: 12
    txid: e2a80806..
  - number: 1
    event: permit
    rid: @r1
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: implicit-policy
    basis: 73696c656e6365
    items: 0
    digest: -
    happened_ms: day 0 00:00:18
    time_ms: day 0 00:00:18
    height: 18
    txid: 69fd00c8..
  - number: 2
    event: release
    rid: @r1
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: -
    basis: -
    items: 2
    digest: b13e3a03..
    happened_ms: day 0 00:00:23
    time_ms: day 0 00:00:23
    height: 23
    txid: 24cc58e8..
  - number: 3
    event: receipt
    rid: @r1
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: mismatch-missing
    basis: -
    items: 2
    digest: 90db528d..
    happened_ms: day 0 00:00:25
    time_ms: day 0 00:00:25
    height: 25
    txid: 7c6ee92c..
next: 4
count: 9
chain: e4a858ed..
first: 5
events:
  - number: 5
    event: overdue
    rid: @r1
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: acknowledge
    basis: -
    items: 0
    digest: -
    happened_ms: day 1 01:00:28
    time_ms: day 1 01:00:28
    height: 28
    txid: -
  - number: 6
    event: disclosure
    rid: @d1
    org: hospital-a
    custodian: hospital-a
    recipient: -
    practitioner: -
    purpose: PUBHLTH
    data_class: -
    reason: authority
    basis: -
    items: 1
    digest: 90db528d..
    happened_ms: day 0 00:00:05
    time_ms: day 1 01:00:31
    height: 31
    txid: 0c481aeb..
  - number: 7
    event: request
    rid: @r2
    org: uni-r
    custodian: hospital-a
    recipient: uni-r
    practitioner: -
    purpose: HRESCH
    data_class: -
    reason: -
    basis: -
    items: 0
    digest: -
    happened_ms: day 1 01:00:33
    time_ms: day 1 01:00:33
    height: 33
    txid: 593da356..
  - number: 8
    event: deny
    rid: @r2
    org: hospital-a
    custodian: hospital-a
    recipient: uni-r
    practitioner: -
    purpose: HRESCH
    data_class: -
    reason: implicit-policy
    basis: 73696c656e6365
    items: 0
    digest: -
    happened_ms: day 1 01:00:34
    time_ms: day 1 01:00:34
    height: 34
    txid: afc7df69..
next: -

# What became of the clinic's request, step by step.
ask access.story rid=@r1
----
known: yes
access:
  rid: @r1
  subject: @anna
  custodian: hospital-a
  requester: clinic-b
  purpose: TREAT
  data_class: 3
  labels: -
  practitioner: @licence
  data_from_ms: -
  data_until_ms: -
  until_ms: day 30 00:00:12
  seal_key: @seal
  glass: -
  status: permitted
  basis: 73696c656e6365
  residual: 5132ad68..
  releases: 2
  finding: -
  events: 0, 1, 2, 3, 4, 5
  time_ms: day 0 00:00:12
  height: 12
events:
  - number: 0
    event: request
    rid: @r1
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: -
    basis: -
    items: 0
    digest: -
    happened_ms: day 0 00:00:12
    time_ms: day 0 00:00:12
    height: 12
    txid: e2a80806..
  - number: 1
    event: permit
    rid: @r1
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: implicit-policy
    basis: 73696c656e6365
    items: 0
    digest: -
    happened_ms: day 0 00:00:18
    time_ms: day 0 00:00:18
    height: 18
    txid: 69fd00c8..
  - number: 2
    event: release
    rid: @r1
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: -
    basis: -
    items: 2
    digest: b13e3a03..
    happened_ms: day 0 00:00:23
    time_ms: day 0 00:00:23
    height: 23
    txid: 24cc58e8..
  - number: 3
    event: receipt
    rid: @r1
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: mismatch-missing
    basis: -
    items: 2
    digest: 90db528d..
    happened_ms: day 0 00:00:25
    time_ms: day 0 00:00:25
    height: 25
    txid: 7c6ee92c..
  - number: 4
    event: release
    rid: @r1
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: -
    basis: -
    items: 1
    digest: 6767855c..
    happened_ms: day 0 00:00:27
    time_ms: day 0 00:00:27
    height: 27
    txid: 70b1c3d0..
  - number: 5
    event: overdue
    rid: @r1
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: TREAT
    data_class: 3
    reason: acknowledge
    basis: -
    items: 0
    digest: -
    happened_ms: day 1 01:00:28
    time_ms: day 1 01:00:28
    height: 28
    txid: -
releases:
  - rid: @r1
    number: 0
    commitments: @scan, @letter
    digest: b13e3a03..
    wraps: @wraps
    status: mismatch-missing
    arrived: 90db528d..
    time_ms: day 0 00:00:23
    height: 23
  - rid: @r1
    number: 1
    commitments: @letter
    digest: 6767855c..
    wraps: @wraps
    status: sent
    arrived: -
    time_ms: day 0 00:00:27
    height: 27
late:
  - kind: acknowledge
    rid: @r1
    part: 1
    org: clinic-b
    since_ms: day 0 00:00:27
    due_ms: day 1 00:00:27
    overdue: yes
