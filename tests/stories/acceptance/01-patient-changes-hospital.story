# Anna moves to another town. Hospital-a made images of her lungs; clinic-b treats her now and is
# about to make them again. This story is about the second examination that does not happen:
# the clinic finds that one exists, asks for it, gets it, and knows that it is the right one.
network hospital-a:author,custodian,laboratory clinic-b:author,custodian maker-c:manufacturer,supplier agency-d:regulator,ethics
hospital-a: identity.patient.bind subject=@anna sign_key=key:anna seal_key=@anna-box level=2 +anna
clinic-b: identity.practitioner.issue licence=@doctor profession=specialist-physician from_ms=+0d until_ms=+365d
agency-d: consent.policy.publish policy=move-01 kind=overarching digest=@leaflet default=deny
----
applied
applied
applied

# What the hospital keeps of her: a computed tomography of the lungs from last year, a new one, a
# blood count, and a letter. Class 7 is imaging, class 3 laboratory, class 2 letters. Each record
# is on the ledger as a commitment under a one-time tag: nobody can tell that all four are hers.
hospital-a: record.anchor commitment=@lungs-old tag=@t1:16 canon=4 record_class=7
later 200d
moment spring
hospital-a: record.anchor commitment=@lungs tag=@t2:16 canon=4 record_class=7
hospital-a: record.anchor commitment=@blood tag=@t3:16 canon=2 record_class=3
hospital-a: record.anchor commitment=@letter tag=@t4:16 canon=2 record_class=2
clinic-b: record.anchor commitment=@note tag=@t5:16 canon=2 record_class=2
----
applied
applied
applied
applied
applied

# Anna comes to the clinic with a cough and shows her tags. Images of the last month: one exists.
# Where patients say nothing the network denies, so the clinic may not see it yet.
later 30d
ask record.exists subject=@anna requester=clinic-b purpose=TREAT data_class=7 tags=["@t1:16","@t2:16","@t3:16","@t4:16"] since_ms=time:spring practitioner=@doctor
----
permitted: no
reason: implicit-policy
basis: 6d6f76652d3031
filtered: no
found:
  - commitment: @lungs
    custodian: hospital-a
    version: 1
    anchored_ms: day 200 00:00:06
unclassed: 0
complete: yes

# She permits clinic-b to see imaging for her treatment, for a year, on her telephone.
clinic-b: consent.grant cid=@images:16 subject=@anna rule={"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"],"classes":[7],"until_ms":"+365d"}}
clinic-b: consent.grant cid=@images:16 subject=@anna rule={"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"],"classes":[7],"until_ms":"+365d"}} +anna
ask record.exists subject=@anna requester=clinic-b purpose=TREAT data_class=7 tags=["@t1:16","@t2:16","@t3:16","@t4:16"] since_ms=time:spring practitioner=@doctor
----
consent-signature-missing
applied
permitted: yes
reason: patient-permits
basis: @images:16
filtered: no
found:
  - commitment: @lungs
    custodian: hospital-a
    version: 1
    anchored_ms: day 200 00:00:06
unclassed: 0
complete: yes

# The clinic asks hospital-a for imaging, and for laboratory values too. It cannot ask in the name
# of a doctor who has no licence.
clinic-b: access.request rid=@ask-images subject=@anna custodian=hospital-a purpose=TREAT seal_key=@box data_class=7 practitioner=@quack
clinic-b: access.request rid=@ask-images subject=@anna custodian=hospital-a purpose=TREAT seal_key=@box data_class=7 practitioner=@doctor
clinic-b: access.request rid=@ask-blood subject=@anna custodian=hospital-a purpose=TREAT seal_key=@box data_class=3 practitioner=@doctor
ask access.verdict rid=@ask-images
----
access-practitioner-invalid
applied
applied
known: yes
status: open
permit: yes
live: no
basis: @images:16
basis_version: 1
residual: 5132ad68..
reason: patient-permits
height: 15

# Rivals do not like to give records away. The hospital says no; every node works the answer out
# again from Anna's consent, gets another one, and refuses. Neither can it be generous: Anna did
# not permit her laboratory values.
hospital-a: access.decide rid=@ask-images permit=false residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=@images:16 basis_version=1
hospital-a: access.decide rid=@ask-blood permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=@images:16 basis_version=1
hospital-a: access.decide rid=@ask-images permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=@images:16 basis_version=1
hospital-a: access.decide rid=@ask-blood permit=false residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=6d6f76652d3031 basis_version=1
----
access-decision-disagrees
access-decision-disagrees
applied
applied

# The hospital hands over. Only what was anchored, only its own, only what was permitted.
hospital-a: access.release rid=@ask-images commitments=["@lungs-retouched"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
hospital-a: access.release rid=@ask-images commitments=["@note"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
hospital-a: access.release rid=@ask-blood commitments=["@blood"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
hospital-a: access.release rid=@ask-images commitments=["@lungs"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
----
access-record-unknown
access-record-not-custodian
access-not-permitted
applied

# The clinic opens the file, computes its commitment and finds the one that was anchored in
# spring. Something else cannot be acknowledged as in order.
clinic-b: access.ack rid=@ask-images number=0 arrived=items:@lungs-retouched outcome=ok
clinic-b: access.ack rid=@ask-images number=0 arrived=items:@lungs outcome=ok
ask record.status commitment=@lungs
----
access-ack-contradicts
applied
known: yes
status: live
author: hospital-a
custodian: hospital-a
version: 1
previous: -
successor: -
anchored_height: 6
anchored_ms: day 200 00:00:06
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: -
retained_until_ms: -
erasable: yes

# Anna stays with the clinic and asks that it keeps her letter from now on. Both houses sign, and
# the next doctor will be sent to the clinic for it.
hospital-a: record.custody commitments=["@letter"] to=clinic-b
hospital-a: record.custody commitments=["@letter"] to=clinic-b +clinic-b/identity
ask record.custodians commitment=@letter
----
record-party-missing
applied
custodians:
  - org: clinic-b
    txid: 11bf4d3e..
    from_height: 27
    from_ms: day 230 00:00:27
next: -

# Months later hospital-a, where she is in for a day, would like to read that letter. It wrote it,
# but the clinic keeps it now, and knows Anna under a name of its own: so it is the clinic that
# answers, and the hospital can no longer hand the letter to others.
clinic-b: identity.patient.bind subject=@anna-b sign_key=key:anna/b seal_key=@anna-box-b level=2 +anna/b
clinic-b: consent.grant cid=@letters:16 subject=@anna-b rule={"permit":true,"scope":{"orgs":["hospital-a"],"purposes":["TREAT"],"until_ms":"+30d"}} +anna/b
hospital-a: access.request rid=@ask-letter subject=@anna-b custodian=clinic-b purpose=TREAT seal_key=@box-a data_class=2
clinic-b: access.decide rid=@ask-letter permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=@letters:16 basis_version=1
hospital-a: access.release rid=@ask-images commitments=["@letter"] wraps=@wraps residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
clinic-b: access.release rid=@ask-letter commitments=["@letter"] wraps=@wraps-2 residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0
hospital-a: access.ack rid=@ask-letter number=0 arrived=items:@letter outcome=ok
----
applied
applied
applied
applied
access-record-not-custodian
applied
applied

# A year later her consent has ended by itself: what was permitted once is not permitted for ever.
later 366d
clinic-b: access.request rid=@ask-again subject=@anna custodian=hospital-a purpose=TREAT seal_key=@box data_class=7
hospital-a: access.decide rid=@ask-again permit=true residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=@images:16 basis_version=1
ask access.verdict rid=@ask-again
hospital-a: access.decide rid=@ask-again permit=false residual=5132ad68dc8d25cc587d9d1624ff06cca153ca00a60a0e54903de2b552f6f8d0 height=height+0 basis=6d6f76652d3031 basis_version=1
----
applied
access-decision-disagrees
known: yes
status: open
permit: no
live: no
basis: 6d6f76652d3031
basis_version: 1
residual: 5132ad68..
reason: implicit-policy
height: 37
applied

# What the doctor asked in the beginning, asked again: which images of the last years exist, and may
# I see them? They exist, and since her consent ended the answer is no. And what Anna asks in the
# end: who had my images, and by which right?
ask record.exists subject=@anna requester=clinic-b purpose=TREAT data_class=7 tags=["@t1:16","@t2:16","@t3:16","@t4:16"]
ask access.story rid=@ask-images
----
permitted: no
reason: implicit-policy
basis: 6d6f76652d3031
filtered: no
found:
  - commitment: @lungs-old
    custodian: hospital-a
    version: 1
    anchored_ms: day 0 00:00:04
  - commitment: @lungs
    custodian: hospital-a
    version: 1
    anchored_ms: day 200 00:00:06
unclassed: 0
complete: yes
known: yes
access:
  rid: @ask-images
  subject: @anna
  custodian: hospital-a
  requester: clinic-b
  purpose: TREAT
  data_class: 7
  labels: -
  practitioner: @doctor
  data_from_ms: -
  data_until_ms: -
  until_ms: day 260 00:00:14
  seal_key: @box
  glass: -
  status: permitted
  basis: @images:16
  residual: 5132ad68..
  releases: 1
  finding: -
  events: 0, 2, 4, 5
  time_ms: day 230 00:00:14
  height: 14
events:
  - number: 0
    event: request
    rid: @ask-images
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @doctor
    purpose: TREAT
    data_class: 7
    reason: -
    basis: -
    items: 0
    digest: -
    happened_ms: day 230 00:00:14
    time_ms: day 230 00:00:14
    height: 14
    txid: 86bade09..
  - number: 2
    event: permit
    rid: @ask-images
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @doctor
    purpose: TREAT
    data_class: 7
    reason: patient-permits
    basis: @images:16
    items: 0
    digest: -
    happened_ms: day 230 00:00:18
    time_ms: day 230 00:00:18
    height: 18
    txid: ec532eb1..
  - number: 4
    event: release
    rid: @ask-images
    org: hospital-a
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @doctor
    purpose: TREAT
    data_class: 7
    reason: -
    basis: -
    items: 1
    digest: 8b999a6b..
    happened_ms: day 230 00:00:23
    time_ms: day 230 00:00:23
    height: 23
    txid: 859ffc62..
  - number: 5
    event: receipt
    rid: @ask-images
    org: clinic-b
    custodian: hospital-a
    recipient: clinic-b
    practitioner: @doctor
    purpose: TREAT
    data_class: 7
    reason: ok
    basis: -
    items: 1
    digest: 8b999a6b..
    happened_ms: day 230 00:00:25
    time_ms: day 230 00:00:25
    height: 25
    txid: fd1f6867..
releases:
  - rid: @ask-images
    number: 0
    commitments: @lungs
    digest: 8b999a6b..
    wraps: @wraps
    status: ok
    arrived: 8b999a6b..
    time_ms: day 230 00:00:23
    height: 23
late: -
