# The payer and the clinic agree to pay for outcomes: blood pressure under control, and patients
# readmitted.  A rate of 70 % or more brings 10.00 per person; readmissions of 15 % or more cost
# 5000.00.  Caps: 4000.00 up, 3000.00 down.  Neither binds the other without its signature.
network clinic-b:author,custodian hospital-a:author payer-c:payer
payer-c: claim.value.contract contract=@deal provider=clinic-b currency=USD bonus_max=400000 penalty_max=300000 from_ms=+0d until_ms=+180d period_ms=90d dispute_ms=30d document=@text measures='[{"measure":"cms165v12","per_person":true,"bands":[{"from_bp":0},{"from_bp":5000,"bonus":400},{"from_bp":7000,"bonus":1000}]},{"measure":"readmission","bands":[{"from_bp":0,"bonus":50000},{"from_bp":1500,"penalty":500000}]}]'
payer-c: claim.value.contract contract=@deal provider=clinic-b currency=USD bonus_max=400000 penalty_max=300000 from_ms=+0d until_ms=+180d period_ms=90d dispute_ms=30d document=@text measures='[{"measure":"cms165v12","per_person":true,"bands":[{"from_bp":0},{"from_bp":5000,"bonus":400},{"from_bp":7000,"bonus":1000}]},{"measure":"readmission","bands":[{"from_bp":0,"bonus":50000},{"from_bp":1500,"penalty":500000}]}]' +clinic-b/identity
payer-c: claim.value.contract contract=@deal provider=clinic-b currency=USD bonus_max=400000 penalty_max=300000 from_ms=+0d until_ms=+180d period_ms=90d dispute_ms=30d document=@text measures='[{"measure":"readmission","bands":[{"from_bp":0}]}]' +clinic-b/identity
----
claim-contract-unsigned
applied
claim-contract-exists

# Reports cite batches of the clinic's own records, and come when the period is over.
clinic-b: record.batch root=@batch-q1 count=400 leaves=""
hospital-a: record.batch root=@foreign count=9 leaves=""
clinic-b: claim.value.measure contract=@deal period=0 measure=cms165v12 numerator=350 denominator=500 cohort=@who evidence='[{"root":"@batch-q1"}]'
later 91d
clinic-b: claim.value.measure contract=@deal period=0 measure=cms165v12 numerator=350 denominator=500 cohort=@who evidence='[{"root":"@foreign"}]'
clinic-b: claim.value.measure contract=@deal period=0 measure=cms122v12 numerator=350 denominator=500 cohort=@who evidence='[{"root":"@batch-q1"}]'
clinic-b: claim.value.measure contract=@deal period=0 measure=cms165v12 numerator=350 denominator=500 cohort=@who evidence='[{"root":"@batch-q1"}]'
payer-c: claim.value.settle contract=@deal period=0 bonus=400000 penalty=0 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0}]'
clinic-b: claim.value.measure contract=@deal period=0 measure=readmission numerator=30 denominator=200 cohort=@who-2 evidence='[{"root":"@batch-q1"}]'
ask claim.value.computed contract=@deal period=0
----
applied
applied
claim-period-wrong
claim-evidence-missing
claim-measure-unknown
applied
claim-measure-missing
applied
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

# 350 of 500 are 70 % exactly, and 30 of 200 are 15 %.  A settlement that forgets the cap is
# refused; the right one stands open to dispute for 30 days.
payer-c: claim.value.settle contract=@deal period=0 bonus=500000 penalty=500000 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0},{"measure":"readmission","report":1,"from_bp":1500,"bonus":0,"penalty":500000}]'
payer-c: claim.value.settle contract=@deal period=0 bonus=400000 penalty=300000 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0},{"measure":"readmission","report":1,"from_bp":1500,"bonus":0,"penalty":500000}]'
payer-c: claim.value.pay contract=@deal period=0 amount=100000 remittance=@advice
clinic-b: claim.value.measure contract=@deal period=0 measure=readmission numerator=29 denominator=200 cohort=@who-2 evidence='[{"root":"@batch-q1"}]'
----
claim-settlement-disagrees
applied
claim-settlement-state
claim-settlement-state

# The clinic finds a planned readmission that was counted, disputes, reports again.
hospital-a: claim.value.dispute contract=@deal period=0 reason=exclusions document=@why
clinic-b: claim.value.dispute contract=@deal period=0 reason=exclusions document=@why
clinic-b: claim.value.measure contract=@deal period=0 measure=readmission numerator=29 denominator=200 cohort=@who-2 evidence='[{"root":"@batch-q1"}]'
payer-c: claim.value.settle contract=@deal period=0 bonus=400000 penalty=0 outcomes='[{"measure":"cms165v12","report":1,"from_bp":7000,"bonus":500000,"penalty":0},{"measure":"readmission","report":2,"from_bp":0,"bonus":50000,"penalty":0}]'
later 31d
clinic-b: claim.value.dispute contract=@deal period=0 reason=data document=@why
clinic-b: claim.value.pay contract=@deal period=0 amount=1 remittance=@advice
payer-c: claim.value.pay contract=@deal period=0 amount=400001 remittance=@advice
payer-c: claim.value.pay contract=@deal period=0 amount=300000 remittance=@advice
ask claim.value.explained contract=@deal period=0
ask claim.value.explained contract=@deal period=1
ask claim.value.terms contract=@nothing
----
claim-not-provider
applied
applied
applied
claim-settlement-state
claim-settlement-overpaid
claim-settlement-overpaid
applied
known: yes
status: final
currency: USD
settlements: 2
final_ms: day 121 00:00:20
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
        - root: @batch-q1
          entry: -
      by: clinic-b
      height: 10
      time_ms: day 91 00:00:10
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
      cohort: @who-2
      evidence:
        - root: @batch-q1
          entry: -
      by: clinic-b
      height: 19
      time_ms: day 91 00:00:19
    rate_bp: 1450
    per_person: no
uncapped_bonus: 550000
uncapped_penalty: 0
bonus: 400000
penalty: 0
debtor: payer-c
owed: 100000
paid: 300000
disputes:
  - settlement: 1
    by: clinic-b
    reason: exclusions
    document: @why
    time_ms: day 91 00:00:18
known: yes
status: open
currency: USD
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
known: no
contract: -
periods: 0
