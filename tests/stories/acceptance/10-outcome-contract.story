# An outcome contract.
#
# The insurer and the hospital agree that good results are worth more than many visits: blood
# pressure under control earns a bonus, patients who have to come back after a stay cost one.
# What is measured, from which number on, and for how much, is on the ledger before the first
# patient is counted, and the settlement is a computation that every node repeats.
network hospital-a:author,custodian,dispenser,research insurer-b:payer maker-c:manufacturer,research agency-d:ethics,regulator,supplier
----

# 10.00 per person if 70 % or more have their blood pressure under control, 4.00 from half on.
# 500.00 if fewer than 15 % are readmitted, and 5000.00 the other way from there on.  Caps:
# 4000.00 up, 3000.00 down.  Two periods of 90 days; 30 days to dispute a settlement.  The
# insurer alone binds nobody, and a contract that both signed is not replaced.
insurer-b: claim.value.contract contract=@deal provider=hospital-a currency=EUR bonus_max=400000 penalty_max=300000 from_ms=+0d until_ms=+180d period_ms=90d dispute_ms=30d document=@text measures='[{"measure":"cms165v12","per_person":true,"bands":[{"from_bp":0},{"from_bp":5000,"bonus":400},{"from_bp":7000,"bonus":1000}]},{"measure":"readmission","bands":[{"from_bp":0,"bonus":50000},{"from_bp":1500,"penalty":500000}]}]'
insurer-b: claim.value.contract contract=@deal provider=hospital-a currency=EUR bonus_max=400000 penalty_max=300000 from_ms=+0d until_ms=+180d period_ms=90d dispute_ms=30d document=@text measures='[{"measure":"cms165v12","per_person":true,"bands":[{"from_bp":0},{"from_bp":5000,"bonus":400},{"from_bp":7000,"bonus":1000}]},{"measure":"readmission","bands":[{"from_bp":0,"bonus":50000},{"from_bp":1500,"penalty":500000}]}]' +hospital-a/identity
insurer-b: claim.value.contract contract=@deal provider=hospital-a currency=EUR bonus_max=1 penalty_max=0 from_ms=+0d until_ms=+180d period_ms=90d dispute_ms=30d document=@text measures='[{"measure":"readmission","bands":[{"from_bp":0}]}]' +hospital-a/identity
ask claim.value.terms contract=@deal
----
claim-contract-unsigned
applied
claim-contract-exists
known: yes
contract:
  payer: insurer-b
  provider: hospital-a
  currency: EUR
  measures:
    - measure: cms165v12
      bands:
        - from_bp: 0
          bonus: 0
          penalty: 0
        - from_bp: 5000
          bonus: 400
          penalty: 0
        - from_bp: 7000
          bonus: 1000
          penalty: 0
      per_person: yes
    - measure: readmission
      bands:
        - from_bp: 0
          bonus: 50000
          penalty: 0
        - from_bp: 1500
          bonus: 0
          penalty: 500000
      per_person: no
  bonus_max: 400000
  penalty_max: 300000
  from_ms: day 0 00:00:02
  until_ms: day 180 00:00:02
  period_ms: 7776000000
  dispute_ms: 2592000000
  document: @text
  since_height: 2
periods: 2

# All through the quarter the hospital puts batches of its records on the ledger, and begins to
# chain in its local audit log, of which nothing was there before (the hash is that of nothing).
# Before the period is over there is nothing to report.
hospital-a: record.batch root=@january count=210 leaves=""
later 45d
hospital-a: access.audit root=@audit-log count=90210 from_ms=-45d until_ms=-1d previous=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 path=[] cadence_ms=31d
hospital-a: record.batch root=@february count=190 leaves=""
hospital-a: claim.value.measure contract=@deal period=0 measure=cms165v12 numerator=350 denominator=500 cohort=@who evidence='[{"root":"@january"},{"root":"@february"}]'
----
applied
applied
applied
claim-period-wrong

# The quarter is over.  A report cites batches that the hospital itself put on the ledger, of
# records or of audit events: not one that nobody knows, not an entry of the log that is not the
# one with that root.  Nothing can be settled while a measure is missing.
later 46d
hospital-a: claim.value.measure contract=@deal period=0 measure=cms165v12 numerator=350 denominator=500 cohort=@who evidence='[{"root":"@march"}]'
hospital-a: claim.value.measure contract=@deal period=0 measure=cms165v12 numerator=350 denominator=500 cohort=@who evidence='[{"root":"@january","entry":0}]'
hospital-a: claim.value.measure contract=@deal period=0 measure=waiting-time numerator=350 denominator=500 cohort=@who evidence='[{"root":"@january"}]'
hospital-a: claim.value.measure contract=@deal period=0 measure=cms165v12 numerator=350 denominator=500 cohort=@who evidence='[{"root":"@january"},{"root":"@february"}]'
insurer-b: claim.value.settle contract=@deal period=0 bonus=400000 penalty=0 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0}]'
hospital-a: claim.value.measure contract=@deal period=0 measure=readmission numerator=30 denominator=200 cohort=@who-stayed evidence='[{"root":"@audit-log","entry":0}]'
----
claim-evidence-missing
claim-evidence-missing
claim-measure-unknown
applied
claim-measure-missing
applied

# 350 of 500 are 70 % exactly, so the better band is reached; 30 of 200 are 15 % exactly, and
# that costs.  What does the contract give?  Anybody may compute it.
ask claim.value.computed contract=@deal period=0
----
known: yes
missing: -
outcomes:
  - measure: cms165v12
    report: 1
    from_bp: 7000
    bonus: 500000
    penalty: 0
  - measure: readmission
    report: 1
    from_bp: 1500
    bonus: 0
    penalty: 500000
bonus: 400000
penalty: 300000

# A settlement that forgets the caps is refused by every node.  The right one stands open to
# dispute for 30 days; nobody pays and nobody changes a number behind it.
insurer-b: claim.value.settle contract=@deal period=0 bonus=500000 penalty=500000 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0},{"measure":"readmission","report":1,"from_bp":1500,"bonus":0,"penalty":500000}]'
insurer-b: claim.value.settle contract=@deal period=0 bonus=400000 penalty=300000 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0},{"measure":"readmission","report":1,"from_bp":1500,"bonus":0,"penalty":500000}]'
insurer-b: claim.value.pay contract=@deal period=0 amount=100000 remittance=@early
hospital-a: claim.value.measure contract=@deal period=0 measure=readmission numerator=29 denominator=200 cohort=@who-stayed evidence='[{"root":"@audit-log","entry":0}]'
----
claim-settlement-disagrees
applied
claim-settlement-state
claim-settlement-state

# One of the thirty came back as planned and should not be counted.  The hospital disputes with
# its reason; no other institution can.  Then it reports anew: 29 of 200, below 15 %.  The first
# settlement does not fit the new numbers any more, the second one does.
later 5d
maker-c: claim.value.dispute contract=@deal period=0 reason=exclusions document=@why
hospital-a: claim.value.dispute contract=@deal period=0 reason=exclusions document=@why
hospital-a: claim.value.measure contract=@deal period=0 measure=readmission numerator=29 denominator=200 cohort=@who-stayed evidence='[{"root":"@audit-log","entry":0}]'
insurer-b: claim.value.settle contract=@deal period=0 bonus=400000 penalty=300000 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0},{"measure":"readmission","report":1,"from_bp":1500,"bonus":0,"penalty":500000}]'
insurer-b: claim.value.settle contract=@deal period=0 bonus=400000 penalty=0 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0},{"measure":"readmission","report":2,"from_bp":0,"bonus":50000,"penalty":0}]'
----
role-missing
applied
applied
claim-settlement-disagrees
applied

# Thirty days later it is final.  The side that owes pays, up to what is owed.
later 31d
hospital-a: claim.value.dispute contract=@deal period=0 reason=data document=@why
hospital-a: claim.value.pay contract=@deal period=0 amount=1 remittance=@advice
insurer-b: claim.value.pay contract=@deal period=0 amount=400001 remittance=@advice
insurer-b: claim.value.pay contract=@deal period=0 amount=250000 remittance=@advice
----
claim-settlement-state
claim-settlement-overpaid
claim-settlement-overpaid
applied

# How did this settlement come about: every number, its evidence, its band, the caps, the
# dispute; what is owed still?  The second period has not been reported.
ask claim.value.explained contract=@deal period=0
ask claim.value.explained contract=@deal period=1
----
known: yes
status: final
currency: EUR
settlements: 2
final_ms: day 126 00:00:25
measures:
  - measure: cms165v12
    outcome:
      measure: cms165v12
      report: 1
      from_bp: 7000
      bonus: 500000
      penalty: 0
    report:
      numerator: 350
      denominator: 500
      cohort: @who
      evidence:
        - root: @january
          entry: -
        - root: @february
          entry: -
      by: hospital-a
      height: 13
      time_ms: day 91 00:00:13
    rate_bp: 7000
    per_person: yes
  - measure: readmission
    outcome:
      measure: readmission
      report: 2
      from_bp: 0
      bonus: 50000
      penalty: 0
    report:
      numerator: 29
      denominator: 200
      cohort: @who-stayed
      evidence:
        - root: @audit-log
          entry: 0
      by: hospital-a
      height: 23
      time_ms: day 96 00:00:23
    rate_bp: 1450
    per_person: no
uncapped_bonus: 550000
uncapped_penalty: 0
bonus: 400000
penalty: 0
debtor: insurer-b
owed: 150000
paid: 250000
disputes:
  - settlement: 1
    by: hospital-a
    reason: exclusions
    document: @why
    time_ms: day 96 00:00:22
known: yes
status: open
currency: EUR
settlements: 0
final_ms: 0
measures: -
uncapped_bonus: 0
uncapped_penalty: 0
bonus: 0
penalty: 0
debtor: 
owed: 0
paid: 0
disputes: -
