# Two promises, kept for an auditor. First: a record that was on the ledger at a time T is the same
# today, or the change can be seen. Second: what happened inside hospital-a, who opened which
# record, cannot be rewritten later, and silence of its log shows. Agency-d supervises.
network hospital-a:author,custodian,laboratory clinic-b:author,custodian maker-c:manufacturer,supplier agency-d:regulator,ethics
agency-d: record.retention retention=1102 period_ms=3650d basis=statute
----
applied

# The laboratory of hospital-a finishes a night's work: four results, on the ledger as one root.
# A fifth, urgent one is anchored by itself; the law says that it is kept for ten years.
hospital-a: record.batch root=root:@result-1,@result-2,@result-3,@result-4 count=4 leaves=""
hospital-a: record.batch root=root:@result-1,@result-2,@result-3,@result-4 count=4 leaves=""
hospital-a: record.anchor commitment=@urgent tag=@t1:16 canon=2 record_class=3 retention=1102
hospital-a: record.anchor commitment=@urgent tag=@t2:16 canon=2 record_class=3
later 60d
----
applied
record-batch-exists
applied
record-exists

# Two months later a court wants to know whether result 3 is the one of that night. Its commitment
# and the path to the root prove it; a retouched one is not in it. The day and the height of the
# anchor are part of the answer.
ask record.status commitment=@result-3 root=root:@result-1,@result-2,@result-3,@result-4 index=2 path=path:2/@result-1,@result-2,@result-3,@result-4
ask record.status commitment=@result-3-retouched root=root:@result-1,@result-2,@result-3,@result-4 index=2 path=path:2/@result-1,@result-2,@result-3,@result-4
----
known: yes
status: live
author: hospital-a
custodian: hospital-a
version: 1
previous: -
successor: -
anchored_height: 2
anchored_ms: day 0 00:00:02
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: -
retained_until_ms: -
erasable: yes
known: no
status: unknown
author: -
custodian: -
version: 0
previous: -
successor: -
anchored_height: 0
anchored_ms: 0
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: -
retained_until_ms: -
erasable: no

# The court orders that the urgent result is not destroyed: the agency puts a hold on it. Clinic-b
# cannot touch what it does not keep, hospital-a cannot erase what is held, and when the hold is
# lifted the law's ten years still run.
agency-d: record.hold commitments=["@urgent"] case=@case
clinic-b: record.retract commitment=@urgent
hospital-a: record.erase commitments=["@urgent"] basis=retention-end evidence=@report
agency-d: record.release commitments=["@urgent"] case=@case
hospital-a: record.erase commitments=["@urgent"] basis=retention-end evidence=@report
----
applied
record-not-custodian
record-held
applied
record-retention-running

# The urgent result had a slip in it. The laboratory corrects it, and the first version stays in
# sight with what came after it. A second correction of the first version is refused: there is one
# line of versions, not two.
hospital-a: record.amend previous=@urgent anchor='{"commitment":"@urgent-2","tag":"@t3:16","canon":2,"record_class":3,"object_root":null,"retention":null}' reason=corrected
hospital-a: record.amend previous=@urgent anchor='{"commitment":"@urgent-x","tag":"@t4:16","canon":2,"record_class":3,"object_root":null,"retention":null}' reason=corrected
clinic-b: record.amend previous=@urgent-2 anchor='{"commitment":"@urgent-x","tag":"@t4:16","canon":2,"record_class":3,"object_root":null,"retention":null}' reason=corrected
----
applied
record-superseded
record-not-custodian

# Now the log inside the house. In one hour five people opened records; the root over these five
# events goes on the ledger. It says that a batch will follow at least every six hours. The root
# before it is that of an empty tree.
moment shift
later 1h
hospital-a: access.audit root=root:@open-1,@open-2,@open-3,@open-4,@open-5 count=5 from_ms=time:shift until_ms=time:shift+1h previous=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 path=[]
hospital-a: access.audit root=root:@open-1,@open-2,@open-3,@open-4,@open-5 count=5 from_ms=time:shift until_ms=time:shift+1h previous=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 path=[] cadence_ms=6h
----
access-cadence-missing
applied

# Two more events. An administrator would like event 2 to have been somebody else: the new tree
# does not contain the old one, and every node refuses it. Neither can he begin again from the
# start, nor tell the same hour twice, nor report on hours to come.
later 5h
hospital-a: access.audit root=root:@open-1,@nobody,@open-3,@open-4,@open-5,@open-6,@open-7 count=2 from_ms=time:shift+1h until_ms=time:shift+6h previous=root:@open-1,@open-2,@open-3,@open-4,@open-5 path=grown:5/@open-1,@nobody,@open-3,@open-4,@open-5,@open-6,@open-7
hospital-a: access.audit root=root:@open-6,@open-7 count=2 from_ms=time:shift+1h until_ms=time:shift+6h previous=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 path=[]
hospital-a: access.audit root=root:@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7 count=2 from_ms=time:shift until_ms=time:shift+6h previous=root:@open-1,@open-2,@open-3,@open-4,@open-5 path=grown:5/@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7
hospital-a: access.audit root=root:@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7 count=2 from_ms=time:shift+1h until_ms=time:shift+9h previous=root:@open-1,@open-2,@open-3,@open-4,@open-5 path=grown:5/@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7
hospital-a: access.audit root=root:@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7 count=2 from_ms=time:shift+1h until_ms=time:shift+6h previous=root:@open-1,@open-2,@open-3,@open-4,@open-5 path=grown:5/@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7
----
access-audit-inconsistent
access-audit-fork
access-audit-overlap
access-audit-future
applied

# At night the log server is down for three hours, and the hospital declares it. The batch after it
# begins two hours late, and that nobody declared. Once the batch is there, it cannot be explained
# away afterwards.
later 8h
hospital-a: access.gap from_ms=time:shift+6h until_ms=time:shift+9h cause=maintenance
hospital-a: access.audit root=root:@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7,@open-8 count=1 from_ms=time:shift+11h until_ms=time:shift+14h previous=root:@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7 path=grown:7/@open-1,@open-2,@open-3,@open-4,@open-5,@open-6,@open-7,@open-8
hospital-a: access.gap from_ms=time:shift+9h until_ms=time:shift+11h cause=network
----
applied
applied
access-audit-overlap

# What the auditor asks. Is the urgent result unchanged since the day it was made? No: it was
# corrected, and by what is there; the first version still stands as it was. Is result 1? It is.
ask record.status commitment=@urgent
ask record.status commitment=@urgent-2
ask record.status commitment=@result-1 root=root:@result-1,@result-2,@result-3,@result-4 index=0 path=path:0/@result-1,@result-2,@result-3,@result-4
----
known: yes
status: amended
author: hospital-a
custodian: hospital-a
version: 1
previous: -
successor: @urgent-2
anchored_height: 4
anchored_ms: day 0 00:00:04
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: 1102
retained_until_ms: day 3650 00:00:04
erasable: yes
known: yes
status: live
author: hospital-a
custodian: hospital-a
version: 2
previous: @urgent
successor: -
anchored_height: 12
anchored_ms: day 60 00:00:12
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: 1102
retained_until_ms: day 3710 00:00:12
erasable: yes
known: yes
status: live
author: hospital-a
custodian: hospital-a
version: 1
previous: -
successor: -
anchored_height: 2
anchored_ms: day 0 00:00:02
handovers: 0
holds: 0
disputes: 0
disputed: 0
retention: -
retained_until_ms: -
erasable: yes

# And the gap report of hospital-a: what was declared, what was not, which batch came late.
ask access.gaps org=hospital-a
ask access.chain org=hospital-a
----
known: yes
entries: 4
spans:
  - kind: declared
    from_ms: day 60 06:00:15
    until_ms: day 60 09:00:15
    cause: maintenance
    before: 2
  - kind: undeclared
    from_ms: day 60 09:00:15
    until_ms: day 60 11:00:15
    cause: -
    before: 3
late: 3
next: -
known: yes
late: no
chain:
  org: hospital-a
  entries: 4
  size: 8
  root: af3ffbde..
  cadence_ms: 21600000
  due_ms: day 60 20:00:26
  since_ms: day 60 00:00:15
  covered_ms: day 60 14:00:15
entries:
  - number: 0
    kind: batch
    from_ms: day 60 00:00:15
    until_ms: day 60 01:00:15
    count: 5
    size: 5
    root: 7bce9603..
    cause: -
    late_ms: 0
    time_ms: day 60 01:00:17
    height: 17
    txid: 703fecbb..
  - number: 1
    kind: batch
    from_ms: day 60 01:00:15
    until_ms: day 60 06:00:15
    count: 2
    size: 7
    root: 846cad2a..
    cause: -
    late_ms: 0
    time_ms: day 60 06:00:23
    height: 23
    txid: 3503f8e8..
  - number: 2
    kind: gap
    from_ms: day 60 06:00:15
    until_ms: day 60 09:00:15
    count: 0
    size: 7
    root: 846cad2a..
    cause: maintenance
    late_ms: 0
    time_ms: day 60 14:00:25
    height: 25
    txid: 1bae286f..
  - number: 3
    kind: batch
    from_ms: day 60 11:00:15
    until_ms: day 60 14:00:15
    count: 1
    size: 8
    root: af3ffbde..
    cause: -
    late_ms: 7203000
    time_ms: day 60 14:00:26
    height: 26
    txid: 6bff9c2f..
next: -

# The hospital goes silent. Two days later the open end has been computed by everybody: nobody has
# to report it.
later 2d
ask access.gaps org=hospital-a start=4
----
known: yes
entries: 4
spans:
  - kind: undeclared
    from_ms: day 60 14:00:15
    until_ms: day 62 14:00:28
    cause: -
    before: 4
late: -
next: -
