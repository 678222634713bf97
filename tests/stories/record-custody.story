# A practice closes and hands its records to the hospital; a court holds one; in the end one is
# erased, and everybody who had a copy says whether it is gone.
network court-r:regulator hospital-a:author,custodian payer-p:payer practice-b:author store-s:store store-t:store
----

# The regulator publishes that records of class 7 are kept for ten years.
court-r: record.retention retention=7 period_ms=3650d basis=statute
payer-p: record.retention retention=7 period_ms=1d basis=statute
----
applied
role-missing

# The practice anchors three records.  Class 9 was published by nobody: it counts as none.
practice-b: record.anchor commitment=@xray tag=@t1:16 canon=2 object_root=@xray-object retention=7
practice-b: record.anchor commitment=@letter tag=@t2:16 canon=2 retention=9
practice-b: record.anchor commitment=@note tag=@t3:16 canon=2
ask record.status commitment=@xray
ask record.status commitment=@letter
----
applied
applied
applied
known: yes
status: live
author: practice-b
custodian: practice-b
version: 1
previous: -
successor: -
anchored_height: 3
anchored_ms: day 0 00:00:03
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: 7
retained_until_ms: day 3650 00:00:03
erasable: yes
known: yes
status: live
author: practice-b
custodian: practice-b
version: 1
previous: -
successor: -
anchored_height: 4
anchored_ms: day 0 00:00:04
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: -
retained_until_ms: -
erasable: yes

# Two stores keep the ciphertext of the X-ray; one of them loses it.
store-s: record.replica object_root=@xray-object chunks=4
store-t: record.replica object_root=@xray-object chunks=4
store-t: record.replica object_root=@xray-object chunks=4 ok=false
hospital-a: record.replica object_root=@xray-object chunks=4
ask record.replicas object_root=@xray-object
----
applied
applied
applied
role-missing
ok: 1
replicas:
  - store: store-s
    ok: yes
    chunks: 4
    height: 6
    time_ms: day 0 00:00:06
    proven_ms: -
    challenge: -
    index: 0
    leaf: -
    answer: -
  - store: store-t
    ok: no
    chunks: 4
    height: 8
    time_ms: day 0 00:00:08
    proven_ms: -
    challenge: -
    index: 0
    leaf: -
    answer: -

# The hand-over needs both signatures, and somebody who may keep records.
practice-b: record.custody commitments=["@xray","@letter"] to=hospital-a
practice-b: record.custody commitments=["@xray"] to=payer-p +payer-p/identity
practice-b: record.custody commitments=["@xray"] to=nobody
practice-b: record.custody commitments=["@xray"] to=practice-b
hospital-a: record.custody commitments=["@xray"] to=practice-b +practice-b/identity
practice-b: record.custody commitments=["@xray","@letter"] to=hospital-a +hospital-a/identity
----
record-party-missing
record-party-unfit
record-party-unfit
record-party-unfit
record-not-custodian
applied

# From now on the hospital has the say, and the practice no longer.
practice-b: record.retract commitment=@xray
hospital-a: record.amend previous=@letter anchor='{"commitment":"@letter-2","tag":"@t4:16","canon":2,"record_class":null,"object_root":null,"retention":null}' reason=corrected
ask record.status commitment=@letter-2
ask record.custodians commitment=@xray
----
record-not-custodian
applied
known: yes
status: live
author: hospital-a
custodian: hospital-a
version: 2
previous: @letter
successor: -
anchored_height: 17
anchored_ms: day 0 00:00:17
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: -
retained_until_ms: -
erasable: yes
custodians:
  - org: hospital-a
    txid: fd3bf34f..
    from_height: 15
    from_ms: day 0 00:00:15
next: -

# A court case holds the X-ray twice, under two cases.
hospital-a: record.hold commitments=["@xray"] case=@case-1
court-r: record.hold commitments=["@xray"] case=@case-1
court-r: record.hold commitments=["@xray"] case=@case-1
court-r: record.hold commitments=["@xray"] case=@case-2
hospital-a: record.erase commitments=["@xray"] basis=GDPR17 evidence=@report objects=["@xray-object"]
court-r: record.release commitments=["@xray"] case=@case-1
court-r: record.release commitments=["@xray"] case=@case-1
hospital-a: record.erase commitments=["@xray"] basis=GDPR17 evidence=@report objects=["@xray-object"]
court-r: record.release commitments=["@xray"] case=@case-2
ask record.holds commitment=@xray
----
role-missing
applied
record-hold-exists
applied
record-held
applied
record-hold-unknown
record-held
applied
holds:
  - org: court-r
    case: @case-1
    from_height: 19
    from_ms: day 0 00:00:19
    until_height: 23
    until_ms: day 0 00:00:23
  - org: court-r
    case: @case-2
    from_height: 21
    from_ms: day 0 00:00:21
    until_height: 26
    until_ms: day 0 00:00:26
next: -

# "The retention period is over" can be said only when it is.
hospital-a: record.erase commitments=["@xray"] basis=retention-end evidence=@report
later 3650d
practice-b: record.erase commitments=["@xray"] basis=retention-end evidence=@report
hospital-a: record.erase commitments=["@xray","@letter"] basis=retention-end evidence=@report objects=["@xray-object",""]
hospital-a: record.erase commitments=["@xray"] basis=GDPR17 evidence=@report
----
record-retention-running
record-not-custodian
applied
record-erased

# What is erased stays so.
hospital-a: record.retract commitment=@xray
court-r: record.hold commitments=["@xray"] case=@case-3
hospital-a: record.custody commitments=["@xray"] to=practice-b +practice-b/identity
----
record-erased
record-erased
record-erased

# The stores confirm, each once; the practice does too, of its own accord.
ask record.certificate commitment=@xray
store-s: record.erasure.confirm commitments=["@xray"]
store-s: record.erasure.confirm commitments=["@xray"]
store-s: record.erasure.confirm commitments=["@note"]
practice-b: record.erasure.confirm commitments=["@xray","@letter"]
ask record.certificate commitment=@xray
ask record.certificate commitment=@note
ask record.replicas object_root=@xray-object
ask record.status commitment=@xray
ask record.retained retention=7
ask record.retained retention=9
----
erased: yes
org: hospital-a
basis: retention-end
evidence: @report
object_root: @xray-object
txid: 740e8e58..
height: 30
time_ms: day 3650 00:00:30
waiting: store-s, store-t
confirmed: -
next: -
applied
record-not-to-confirm
record-not-to-confirm
applied
erased: yes
org: hospital-a
basis: retention-end
evidence: @report
object_root: @xray-object
txid: 740e8e58..
height: 30
time_ms: day 3650 00:00:30
waiting: store-t
confirmed:
  - org: store-s
    height: 35
    time_ms: day 3650 00:00:35
  - org: practice-b
    height: 38
    time_ms: day 3650 00:00:38
next: -
erased: no
org: -
basis: -
evidence: -
object_root: -
txid: -
height: 0
time_ms: 0
waiting: -
confirmed: -
next: -
ok: 0
replicas:
  - store: store-s
    ok: no
    chunks: 4
    height: 35
    time_ms: day 3650 00:00:35
    proven_ms: -
    challenge: -
    index: 0
    leaf: -
    answer: -
  - store: store-t
    ok: no
    chunks: 4
    height: 8
    time_ms: day 0 00:00:08
    proven_ms: -
    challenge: -
    index: 0
    leaf: -
    answer: -
known: yes
status: erased
author: practice-b
custodian: hospital-a
version: 1
previous: -
successor: -
anchored_height: 3
anchored_ms: day 0 00:00:03
handovers: 1
holds: 0
disputes: 0
disputed: 0
retention: 7
retained_until_ms: day 3650 00:00:03
erasable: no
published: yes
versions:
  - period_ms: 315360000000
    basis: statute
    org: court-r
    from_height: 1
    from_ms: day 0 00:00:01
published: no
versions: -
