# Anna finds a wrong allergy in her record and asks for it to be put right.
network clinic-b:author hospital-a:author,custodian insurer-p:payer
----

clinic-b: record.anchor commitment=@allergy tag=@t1:16 canon=2
clinic-b: record.anchor commitment=@visit tag=@t2:16 canon=2
----
applied
applied

# The insurer, too, may say that something is wrong; a patient nobody registered may not sign.
insurer-p: record.dispute.open commitment=@allergy statement=@statement-1
hospital-a: record.dispute.open commitment=@allergy statement=@statement-2 subject=@anna +anna
hospital-a: record.dispute.open commitment=@elsewhere statement=@statement-2
insurer-p: record.dispute.open commitment=@visit statement=@statement-3
ask record.disputes org=clinic-b
----
applied
record-party-unfit
record-unknown
applied
disputes:
  - commitment: @allergy
    root: -
    number: 0
    by: insurer-p
    opened_ms: day 0 00:00:03
    due_ms: day 30 00:00:03
    overdue: no
    outcome: -
  - commitment: @visit
    root: -
    number: 0
    by: insurer-p
    opened_ms: day 0 00:00:06
    due_ms: day 30 00:00:06
    overdue: no
    outcome: -
open: 2
counts:
  opened: 2
  taken_over: 0
  handed_over: 0
  granted: 0
  refused: 0
  withdrawn: 0
  overdue: 0
next: -

# Only the custodian answers, with an outcome that is true.
insurer-p: record.dispute.close commitment=@allergy number=0 outcome=accurate
clinic-b: record.dispute.close commitment=@allergy number=0 outcome=amended
clinic-b: record.dispute.close commitment=@allergy number=5 outcome=accurate
clinic-b: record.amend previous=@allergy anchor='{"commitment":"@allergy-2","tag":"@t3:16","canon":2,"record_class":null,"object_root":null,"retention":null}' reason=corrected
clinic-b: record.dispute.close commitment=@allergy number=0 outcome=amended
clinic-b: record.dispute.close commitment=@allergy number=0 outcome=amended
insurer-p: record.dispute.open commitment=@allergy statement=@statement-1
ask record.disputed commitment=@allergy
----
record-party-unfit
record-dispute-outcome
record-dispute-not-open
applied
applied
record-dispute-not-open
record-superseded
disputes:
  - org: insurer-p
    subject: -
    statement: @statement-1
    opened_height: 3
    opened_ms: day 0 00:00:03
    due_ms: day 30 00:00:03
    overdue_ms: -
    outcome: amended
    closed_by: clinic-b
    closed_height: 11
    closed_ms: day 0 00:00:11
next: -

# The clinic hands the visit over; what is open goes with it.  A month passes unanswered.
clinic-b: record.custody commitments=["@visit"] to=hospital-a +hospital-a/identity
ask record.disputes org=clinic-b
later 30d
ask record.disputes org=hospital-a which=overdue
hospital-a: record.dispute.close commitment=@visit number=0 outcome=withdrawn
insurer-p: record.dispute.close commitment=@visit number=0 outcome=withdrawn
ask record.disputes org=hospital-a which=overdue
ask record.disputes org=hospital-a
ask record.disputes org=clinic-b which=all
ask record.disputed commitment=@visit
----
applied
disputes: -
open: 0
counts:
  opened: 2
  taken_over: 0
  handed_over: 1
  granted: 1
  refused: 0
  withdrawn: 0
  overdue: 0
next: -
disputes:
  - commitment: @visit
    root: -
    number: 0
    by: insurer-p
    opened_ms: day 0 00:00:06
    due_ms: day 30 00:00:06
    overdue: yes
    outcome: -
open: 1
counts:
  opened: 0
  taken_over: 1
  handed_over: 0
  granted: 0
  refused: 0
  withdrawn: 0
  overdue: 1
next: -
record-party-unfit
applied
disputes: -
open: 0
counts:
  opened: 0
  taken_over: 1
  handed_over: 0
  granted: 0
  refused: 0
  withdrawn: 1
  overdue: 1
next: -
disputes: -
open: 0
counts:
  opened: 0
  taken_over: 1
  handed_over: 0
  granted: 0
  refused: 0
  withdrawn: 1
  overdue: 1
next: -
disputes:
  - commitment: @allergy
    root: -
    number: 0
    by: insurer-p
    opened_ms: day 0 00:00:03
    due_ms: day 30 00:00:03
    overdue: no
    outcome: amended
  - commitment: @visit
    root: -
    number: 0
    by: insurer-p
    opened_ms: day 0 00:00:06
    due_ms: day 30 00:00:06
    overdue: yes
    outcome: withdrawn
open: 0
counts:
  opened: 2
  taken_over: 0
  handed_over: 1
  granted: 1
  refused: 0
  withdrawn: 0
  overdue: 0
next: -
disputes:
  - org: insurer-p
    subject: -
    statement: @statement-3
    opened_height: 6
    opened_ms: day 0 00:00:06
    due_ms: day 30 00:00:06
    overdue_ms: day 30 00:00:15
    outcome: withdrawn
    closed_by: insurer-p
    closed_height: 17
    closed_ms: day 30 00:00:17
next: -

# What was retracted cannot be disputed any more.
hospital-a: record.retract commitment=@visit
insurer-p: record.dispute.open commitment=@visit statement=@statement-4
----
applied
record-retracted
