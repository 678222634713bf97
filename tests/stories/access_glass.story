# Ben lies unconscious in clinic-b. His records are at hospital-a, and he once forbade clinic-b
# to see them. The network lets an emergency override such a rule, but not an opt-out.
network board:ethics clinic-b:author,custodian health-office:regulator hospital-a:author,custodian payer-c:payer
hospital-a: identity.patient.bind subject=@ben sign_key=key:ben seal_key=@ben-seal level=2 +ben
clinic-b: identity.practitioner.issue licence=@licence profession=nurse from_ms=+0d until_ms=+365d
hospital-a: record.anchor commitment=@allergies tag=@tag-1:16 canon=2
hospital-a: consent.grant cid=@stop:16 subject=@ben rule='{"permit":false,"scope":{"orgs":["clinic-b"]}}' +ben
----
applied
applied
applied
applied

# Nobody has said yet what holds in emergencies, so nothing does.
clinic-b: access.glass rid=@g1 subject=@ben custodian=hospital-a reason=life-threatening practitioner=@licence seal_key=@seal
health-office: consent.policy.publish policy=silence kind=overarching digest=@text default=break-glass-only glass=["rule"]
----
access-glass-refused
applied

# A payer cannot break the glass, nor somebody without a licence. The nurse can; it needs no
# decision, for it cannot wait, and it opens a review that hospital-a owes.
payer-c: access.glass rid=@g1 subject=@ben custodian=hospital-a reason=life-threatening practitioner=@licence seal_key=@seal
clinic-b: access.glass rid=@g1 subject=@ben custodian=hospital-a reason=life-threatening practitioner=@quack seal_key=@seal
clinic-b: access.glass rid=@g1 subject=@ben custodian=hospital-a reason=life-threatening practitioner=@licence seal_key=@seal
hospital-a: access.release rid=@g1 commitments=["@allergies"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
clinic-b: access.ack rid=@g1 number=0 arrived=cbc51690aadda7e2810d344dc7c80ac73bd3337ed2a43caf3fde61fbbe51fc99 outcome=ok
ask access.overdue org=hospital-a waiting=true
----
role-missing
access-practitioner-invalid
applied
applied
applied
count: 1
duties:
  - kind: review
    rid: @g1
    part: 0
    org: hospital-a
    since_ms: day 0 00:00:09
    due_ms: day 7 00:00:09
    overdue: no
batch_late: no
next: -

# Who broke it does not judge it, and neither does just anybody. Nobody else does for a week:
# the ledger's clock says so, and it stays owed.
clinic-b: access.review rid=@g1 finding=justified
payer-c: access.review rid=@g1 finding=justified
later 7d
ask access.overdue org=hospital-a
----
access-reviewer-barred
access-reviewer-barred
count: 1
duties:
  - kind: review
    rid: @g1
    part: 0
    org: hospital-a
    since_ms: day 0 00:00:09
    due_ms: day 7 00:00:09
    overdue: yes
batch_late: no
next: -

# The glass closed by itself after a day.
hospital-a: access.release rid=@g1 commitments=["@allergies"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
----
access-expired

# The ethics board looks into it at last, once.
board: access.review rid=@g1 finding=justified
hospital-a: access.review rid=@g1 finding=breach
ask access.overdue org=hospital-a waiting=true
----
applied
access-reviewed
count: 0
duties: -
batch_late: no
next: -

# Later somebody at clinic-b looks out of curiosity and calls it an emergency. hospital-a finds
# out before it sends anything: the finding ends the permit.
clinic-b: access.glass rid=@g2 subject=@ben custodian=hospital-a reason=patient-unable practitioner=@licence seal_key=@seal
hospital-a: access.review rid=@g2 finding=breach
hospital-a: access.release rid=@g2 commitments=["@allergies"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
----
applied
applied
access-glass-stopped

# Ben is well again and stays out of everything. Now not even an emergency opens his records.
hospital-a: consent.optout subject=@ben scope=whole +ben
clinic-b: access.glass rid=@g3 subject=@ben custodian=hospital-a reason=life-threatening practitioner=@licence seal_key=@seal
----
applied
access-glass-refused

# All of it is in his log.
ask access.log subject=@ben
----
count: 7
chain: c23ab90b..
first: 0
events:
  - number: 0
    event: glass
    rid: @g1
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: BTG
    data_class: -
    reason: life-threatening
    basis: 73696c656e6365
    items: 0
    digest: -
    happened_ms: day 0 00:00:09
    time_ms: day 0 00:00:09
    height: 9
    txid: 095626a2..
  - number: 1
    event: release
    rid: @g1
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: BTG
    data_class: -
    reason: -
    basis: -
    items: 1
    digest: cbc51690..
    happened_ms: day 0 00:00:10
    time_ms: day 0 00:00:10
    height: 10
    txid: 4359439c..
  - number: 2
    event: receipt
    rid: @g1
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: BTG
    data_class: -
    reason: ok
    basis: -
    items: 1
    digest: cbc51690..
    happened_ms: day 0 00:00:11
    time_ms: day 0 00:00:11
    height: 11
    txid: f5697e7c..
  - number: 3
    event: overdue
    rid: @g1
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: BTG
    data_class: -
    reason: review
    basis: -
    items: 0
    digest: -
    happened_ms: day 7 00:00:14
    time_ms: day 7 00:00:14
    height: 14
    txid: -
  - number: 4
    event: review
    rid: @g1
    org: board
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: BTG
    data_class: -
    reason: justified
    basis: -
    items: 0
    digest: -
    happened_ms: day 7 00:00:16
    time_ms: day 7 00:00:16
    height: 16
    txid: a70075ba..
  - number: 5
    event: glass
    rid: @g2
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: BTG
    data_class: -
    reason: patient-unable
    basis: 73696c656e6365
    items: 0
    digest: -
    happened_ms: day 7 00:00:18
    time_ms: day 7 00:00:18
    height: 18
    txid: ccd87ac1..
  - number: 6
    event: review
    rid: @g2
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @licence
    purpose: BTG
    data_class: -
    reason: breach
    basis: -
    items: 0
    digest: -
    happened_ms: day 7 00:00:19
    time_ms: day 7 00:00:19
    height: 19
    txid: dcfaf7f5..
next: -
