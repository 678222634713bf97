# Anna comes to the clinic with a cough.  Before another X-ray is made, the clinic asks whether
# one exists: Anna has disclosed the tags that her hospital drew for her.
network clinic-b:author hospital-a:author,custodian radiology-c:author
----

# The hospital knows her by a subject, and anchored two images (class 7), a letter and a note
# without a class.
hospital-a: identity.patient.bind subject=@anna sign_key=key:anna seal_key=@seal level=2 +anna
hospital-a: record.anchor commitment=@xray-old tag=@t1:16 canon=4 record_class=7
later 90d
hospital-a: record.anchor commitment=@xray-new tag=@t2:16 canon=4 record_class=7
hospital-a: record.anchor commitment=@letter tag=@t3:16 canon=2 record_class=3
hospital-a: record.anchor commitment=@note tag=@t4:16 canon=2
----
applied
applied
applied
applied
applied

# Without her consent the clinic learns that it may not see them; with it, whom to ask.  A tag that
# nobody used finds nothing.
ask record.exists subject=@anna requester=clinic-b purpose=TREAT data_class=7 tags=["@t1:16","@t2:16","@t3:16","@t4:16","@t9:16"]
hospital-a: consent.grant cid=@consent:16 subject=@anna rule='{"permit":true,"scope":{"orgs":["clinic-b"],"purposes":["TREAT"],"classes":[7]}}' +anna
ask record.exists subject=@anna requester=clinic-b purpose=TREAT data_class=7 tags=["@t1:16","@t2:16","@t3:16","@t4:16"] since_ms=1767225700000
ask record.exists subject=@anna requester=clinic-b purpose=TREAT data_class=3 tags=["@t3:16"]
ask record.exists subject=@anna requester=radiology-c purpose=TREAT data_class=7 tags=["@t2:16"]
ask record.exists subject=@nobody requester=clinic-b purpose=TREAT data_class=7 tags=["@t2:16"]
----
permitted: no
reason: no-policy
basis: -
filtered: no
found:
  - commitment: @xray-old
    custodian: hospital-a
    version: 1
    anchored_ms: day 0 00:00:02
  - commitment: @xray-new
    custodian: hospital-a
    version: 1
    anchored_ms: day 90 00:00:04
unclassed: 1
complete: yes
applied
permitted: yes
reason: patient-permits
basis: @consent:16
filtered: no
found:
  - commitment: @xray-new
    custodian: hospital-a
    version: 1
    anchored_ms: day 90 00:00:04
unclassed: 1
complete: yes
permitted: no
reason: no-policy
basis: -
filtered: no
found:
  - commitment: @letter
    custodian: hospital-a
    version: 1
    anchored_ms: day 90 00:00:05
unclassed: 0
complete: yes
permitted: no
reason: no-policy
basis: -
filtered: no
found:
  - commitment: @xray-new
    custodian: hospital-a
    version: 1
    anchored_ms: day 90 00:00:04
unclassed: 0
complete: yes
permitted: no
reason: no-such-subject
basis: -
filtered: no
found:
  - commitment: @xray-new
    custodian: hospital-a
    version: 1
    anchored_ms: day 90 00:00:04
unclassed: 0
complete: yes

# What was handed over is to be asked for elsewhere; what was retracted does not exist.
hospital-a: record.custody commitments=["@xray-new"] to=radiology-c +radiology-c/identity
hospital-a: record.retract commitment=@xray-old
ask record.exists subject=@anna requester=clinic-b purpose=TREAT data_class=7 tags=["@t1:16","@t2:16"]
----
applied
applied
permitted: yes
reason: patient-permits
basis: @consent:16
filtered: no
found:
  - commitment: @xray-new
    custodian: radiology-c
    version: 1
    anchored_ms: day 90 00:00:04
unclassed: 0
complete: yes
