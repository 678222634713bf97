# A visit at the clinic, from the plan's rules to the last cent.  The payer's table is data: an
# examination is allowed at 80.00 and has a deductible, imaging needs a pre-authorisation and is
# allowed at 70 % of the charge, therapy has six units a year, everything else is not covered.
network clinic-b:author,custodian hospital-a:author,custodian payer-c:payer payer-d:payer regulator-r:regulator
payer-c: claim.rule.publish plan=basic version=1 currency=EUR deductible=10000 answer_ms=14d appeal_ms=60d regulator=regulator-r tariffs='[{"code_class":"exam","allowed":8000,"percent_bp":null,"coinsurance_bp":2000,"deductible":true},{"code_class":"imaging","allowed":null,"percent_bp":7000,"coinsurance_bp":1000,"copay":500,"preauth":true},{"code_class":"therapy","allowed":4500,"percent_bp":null,"units_max":6}]'
----
applied

# A table comes into force only later, and this plan's regulator has to sign for it.
payer-c: claim.rule.activate plan=basic version=1 from_height=4
payer-c: claim.rule.activate plan=basic version=1 from_height=2 +regulator-r/identity
payer-c: claim.rule.activate plan=basic version=1 from_height=6 +regulator-r/identity
----
claim-regulator-missing
claim-activation-past
applied

# Anna is insured.  She made a key for this coverage alone; nobody can tell from it who she is.
payer-c: claim.coverage.register coverage=@annas-cover plan=basic commitment=@cover-doc from_ms=+0d until_ms=+730d member_key=key:anna
payer-c: claim.coverage.register coverage=@annas-cover plan=basic commitment=@cover-doc from_ms=+0d until_ms=+730d
payer-c: claim.coverage.register coverage=@other plan=gold commitment=@cover-doc from_ms=+0d until_ms=+730d
----
applied
claim-coverage-exists
claim-plan-unknown

# The clinic asks before it makes pictures; the payer grants two, for 30 days.
clinic-b: claim.preauth.request preauth=@pictures coverage=@annas-cover wanted='[{"code_class":"imaging","units":3}]' detail=@why-pictures
payer-d: claim.preauth.answer preauth=@pictures reason=granted granted='[{"code_class":"imaging","units":2}]' until_ms=+30d
payer-c: claim.preauth.answer preauth=@pictures reason=granted granted='[{"code_class":"imaging","units":4}]' until_ms=+30d
payer-c: claim.preauth.answer preauth=@pictures reason=granted granted='[{"code_class":"imaging","units":2}]' until_ms=+30d
ask claim.preauth.state preauth=@pictures
----
applied
claim-not-payer
claim-preauth-exceeded
applied
known: yes
usable: yes
provider: clinic-b
payer: payer-c
status: granted
reason: granted
grants:
  - code_class: imaging
    units: 2
    used: 0
until_ms: day 30 00:00:11

# The visit was anchored by the clinic.  Citing somebody else's, or nobody's, helps no claim.
clinic-b: record.anchor commitment=@visit tag=@t1:16 canon=2
hospital-a: record.anchor commitment=@stay tag=@t2:16 canon=2
clinic-b: claim.submit claim=@claim-1 coverage=@annas-cover period=0 anchors='[{"commitment":"@stay"}]' detail=@lines-1 lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@n1"}]'
clinic-b: claim.submit claim=@claim-1 coverage=@annas-cover period=0 anchors='[{"commitment":"@nowhere"}]' detail=@lines-1 lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@n1"}]'
clinic-b: claim.submit claim=@claim-1 coverage=@annas-cover period=0 preauth=@pictures anchors='[{"commitment":"@visit"}]' detail=@lines-1 lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@n1"},{"code_class":"imaging","units":1,"charge":25005,"nullifier":"@n2"},{"code_class":"therapy","units":8,"charge":40000,"nullifier":"@n3"},{"code_class":"wellness","units":1,"charge":3000,"nullifier":"@n4"}]'
----
applied
applied
claim-anchor-foreign
claim-anchor-unknown
applied

# The same examination, billed by the hospital to another payer, is a double bill.  The refused
# transaction stays on the ledger; whoever holds the nullifier can ask who has the service.
payer-d: claim.rule.publish plan=plus version=1 currency=EUR tariffs='[{"code_class":"*","allowed":null,"percent_bp":10000}]'
payer-d: claim.rule.activate plan=plus version=1 from_height=20
payer-d: claim.coverage.register coverage=@annas-second plan=plus commitment=@cover-doc-2 from_ms=+0d until_ms=+365d
hospital-a: claim.submit claim=@claim-2 coverage=@annas-second period=0 anchors='[{"commitment":"@stay"}]' detail=@lines-2 lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@n1"}]'
ask claim.nullifier nullifier=@n1
----
applied
applied
applied
claim-double-billed
billed: yes
claim: @claim-1
line: 1
provider: clinic-b
payer: payer-c
since_height: 16

# The payer waits for the report of the pictures: a clock of ten days runs.  Before it has run
# out or the clinic has answered, it cannot adjudicate.
payer-c: claim.pend claim=@claim-1 reason=documents needed=@report-please wait_ms=10d
payer-c: claim.adjudicate claim=@claim-1 version=1 allowed=0 patient=0 pay=0 shares='[{"reason":"documents-missing","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
hospital-a: claim.inform claim=@claim-1 document=@report
clinic-b: claim.inform claim=@claim-1 document=@report
clinic-b: claim.inform claim=@claim-1 document=@report
----
applied
claim-still-pended
claim-not-provider
applied
claim-not-pended

# What do the rules give, if the payer finds the therapy not necessary?  Anybody can compute it.
ask claim.computed claim=@claim-1 denied=[3] reasons=["not-necessary"]
----
known: yes
waits: yes
version: 1
shares:
  - reason: covered
    units: 1
    allowed: 8000
    deductible: 8000
    copay: 0
    coinsurance: 0
    beyond: 0
    pay: 0
  - reason: covered
    units: 1
    allowed: 17504
    deductible: 0
    copay: 500
    coinsurance: 1700
    beyond: 0
    pay: 15304
  - reason: not-necessary
    units: 0
    allowed: 0
    deductible: 0
    copay: 0
    coinsurance: 0
    beyond: 0
    pay: 0
  - reason: not-covered
    units: 0
    allowed: 0
    deductible: 0
    copay: 0
    coinsurance: 0
    beyond: 0
    pay: 0
allowed: 25504
patient: 10200
pay: 15304

# A cent too little for the imaging line, totals that do not add up, and the right shares, in
# which the payer denies the therapy for a reason of its own.
payer-c: claim.adjudicate claim=@claim-1 version=1 allowed=25503 patient=10200 pay=15303 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":8000,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"covered","units":1,"allowed":17503,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15303},{"reason":"not-necessary","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
payer-c: claim.adjudicate claim=@claim-1 version=1 allowed=25504 patient=10200 pay=15303 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":8000,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"covered","units":1,"allowed":17504,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15304},{"reason":"not-necessary","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
payer-c: claim.adjudicate claim=@claim-1 version=1 allowed=25504 patient=10200 pay=15304 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":8000,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"covered","units":1,"allowed":17504,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15304},{"reason":"not-necessary","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
ask claim.owed claim=@claim-1
----
claim-adjudication-disagrees
claim-totals-wrong
applied
known: yes
status: adjudicated
provider: clinic-b
payer: payer-c
currency: EUR
charge: 77005
approved: 15304
patient: 10200
paid: 0
recouped: 0
held: 0
owed: 15304
due_ms: -
late: no

# How did that come about?  Line by line, with the rule and what the coverage had used before.
ask claim.explained claim=@claim-1
----
known: yes
number: 1
of: 1
plan: basic
version: 1
currency: EUR
deductible: 10000
out_of_pocket_max: 0
benefit_max: 0
lines:
  - number: 1
    code_class: exam
    units: 1
    charge: 9000
    rule:
      code_class: exam
      allowed: 8000
      percent_bp: -
      coinsurance_bp: 2000
      copay: 0
      deductible: yes
      preauth: no
      units_max: 0
    preauth: no
    computed_now: yes
    deductible_before: 0
    out_of_pocket_before: 0
    benefit_before: 0
    units_before: 0
    share:
      reason: covered
      units: 1
      allowed: 8000
      deductible: 8000
      copay: 0
      coinsurance: 0
      beyond: 0
      pay: 0
    patient: 8000
  - number: 2
    code_class: imaging
    units: 1
    charge: 25005
    rule:
      code_class: imaging
      allowed: -
      percent_bp: 7000
      coinsurance_bp: 1000
      copay: 500
      deductible: no
      preauth: yes
      units_max: 0
    preauth: yes
    computed_now: yes
    deductible_before: 8000
    out_of_pocket_before: 8000
    benefit_before: 0
    units_before: 0
    share:
      reason: covered
      units: 1
      allowed: 17504
      deductible: 0
      copay: 500
      coinsurance: 1700
      beyond: 0
      pay: 15304
    patient: 2200
  - number: 3
    code_class: therapy
    units: 8
    charge: 40000
    rule:
      code_class: therapy
      allowed: 4500
      percent_bp: -
      coinsurance_bp: 0
      copay: 0
      deductible: no
      preauth: no
      units_max: 6
    preauth: no
    computed_now: yes
    deductible_before: 8000
    out_of_pocket_before: 10200
    benefit_before: 15304
    units_before: 0
    share:
      reason: not-necessary
      units: 0
      allowed: 0
      deductible: 0
      copay: 0
      coinsurance: 0
      beyond: 0
      pay: 0
    patient: 0
  - number: 4
    code_class: wellness
    units: 1
    charge: 3000
    rule: -
    preauth: no
    computed_now: yes
    deductible_before: 8000
    out_of_pocket_before: 10200
    benefit_before: 15304
    units_before: 0
    share:
      reason: not-covered
      units: 0
      allowed: 0
      deductible: 0
      copay: 0
      coinsurance: 0
      beyond: 0
      pay: 0
    patient: 0
charge: 77005
allowed: 25504
patient: 10200
pay: 15304

# Paid, once and no more.  The clinic says what arrived.
payer-c: claim.pay payment=@transfer-1 provider=clinic-b currency=EUR remittance=@advice-1 parts='[{"claim":"@claim-1","amount":15305}]'
payer-c: claim.pay payment=@transfer-1 provider=clinic-b currency=EUR remittance=@advice-1 parts='[{"claim":"@claim-1","amount":15304}]'
clinic-b: claim.reconcile payment=@transfer-1 received=15304
clinic-b: claim.reconcile payment=@transfer-1 received=15304
ask claim.payment payment=@transfer-1
----
claim-overpaid
applied
applied
claim-payment-reconciled
known: yes
payment:
  payer: payer-c
  provider: clinic-b
  currency: EUR
  amount: 15304
  parts:
    - claim: @claim-1
      amount: 15304
  remittance: @advice-1
  status: reconciled
  received: 15304
  paid_ms: day 0 00:00:30
  reconciled_ms: day 0 00:00:31

# Anna appeals the therapy herself, through the clinic; only her key speaks for her.
clinic-b: claim.appeal.open claim=@claim-1 by=patient lines=[3] document=@grounds
clinic-b: claim.appeal.open claim=@claim-1 by=patient lines=[4] document=@grounds +anna
clinic-b: claim.appeal.open claim=@claim-1 by=patient lines=[3] document=@grounds +anna
clinic-b: claim.appeal.open claim=@claim-1 by=provider lines=[3] document=@grounds
regulator-r: claim.appeal.decide claim=@claim-1 overturned=[3] document=@reasons
payer-c: claim.appeal.decide claim=@claim-1 overturned=[] document=@reasons
clinic-b: claim.appeal.open claim=@claim-1 by=provider lines=[3] document=@grounds-2
payer-c: claim.appeal.decide claim=@claim-1 overturned=[] document=@reasons-2
regulator-r: claim.appeal.decide claim=@claim-1 overturned=[3] document=@reasons-2
ask claim.appeals claim=@claim-1
----
claim-member-missing
claim-not-denied
applied
claim-appeal-open
claim-appeal-not-yours
applied
applied
claim-appeal-not-yours
applied
known: yes
appeals:
  - level: 1
    by: patient
    lines: 3
    status: upheld
    opened_ms: day 0 00:00:35
    due_ms: day 14 00:00:35
    overdue: no
    decided_ms: day 0 00:00:38
    overturned: -
  - level: 2
    by: provider
    lines: 3
    status: overturned
    opened_ms: day 0 00:00:39
    due_ms: day 14 00:00:39
    overdue: no
    decided_ms: day 0 00:00:41
    overturned: 3

# The denial fell, so the payer has to adjudicate again: that line, and it cannot deny it twice.
payer-c: claim.adjudicate claim=@claim-1 version=1 allowed=25504 patient=10200 pay=15304 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":8000,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"covered","units":1,"allowed":17504,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15304},{"reason":"not-necessary","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
payer-c: claim.adjudicate claim=@claim-1 version=1 allowed=61504 patient=10200 pay=51304 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":8000,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"covered","units":1,"allowed":17504,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15304},{"reason":"covered","units":8,"allowed":36000,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":36000},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
payer-c: claim.pay payment=@transfer-2 provider=clinic-b currency=EUR remittance=@advice-2 parts='[{"claim":"@claim-1","amount":36000}]'
clinic-b: claim.reconcile payment=@transfer-2 received=35900
----
claim-denial-overturned
applied
applied
applied

# One therapy was not given after all: money goes back, but not on the payer's word alone.
payer-c: claim.recoup claim=@claim-1 amount=4500 reason=overpaid agreed=clinic-b document=@finding
payer-c: claim.recoup claim=@claim-1 amount=99999 reason=overpaid agreed=clinic-b document=@finding +clinic-b/identity
payer-c: claim.recoup claim=@claim-1 amount=4500 reason=overpaid agreed=clinic-b document=@finding +clinic-b/identity
ask claim.owed claim=@claim-1
ask claim.timeline claim=@claim-1
ask claim.coverage.state coverage=@annas-cover
----
claim-recoup-alone
claim-recoup-exceeds
applied
known: yes
status: adjudicated
provider: clinic-b
payer: payer-c
currency: EUR
charge: 77005
approved: 51304
patient: 10200
paid: 51304
recouped: 4500
held: 46804
owed: 0
due_ms: -
late: no
known: yes
status: adjudicated
steps:
  - word: submitted
    org: clinic-b
    height: 16
    time_ms: day 0 00:00:16
    txid: 70b52c20..
    amount: 77005
    code: 
    about: -
  - word: pended
    org: payer-c
    height: 21
    time_ms: day 0 00:00:21
    txid: feb92dfa..
    amount: -
    code: documents
    about: @report-please
  - word: informed
    org: clinic-b
    height: 24
    time_ms: day 0 00:00:24
    txid: 8c5c2190..
    amount: -
    code: 
    about: @report
  - word: adjudicated
    org: payer-c
    height: 28
    time_ms: day 0 00:00:28
    txid: 5a428d65..
    amount: 15304
    code: 
    about: -
  - word: paid
    org: payer-c
    height: 30
    time_ms: day 0 00:00:30
    txid: 22fcd20c..
    amount: 15304
    code: 
    about: @transfer-1
  - word: reconciled
    org: clinic-b
    height: 31
    time_ms: day 0 00:00:31
    txid: e3185fdf..
    amount: 15304
    code: 
    about: @transfer-1
  - word: appealed
    org: clinic-b
    height: 35
    time_ms: day 0 00:00:35
    txid: 234a5b0b..
    amount: -
    code: patient
    about: @grounds
  - word: upheld
    org: payer-c
    height: 38
    time_ms: day 0 00:00:38
    txid: 12c89cfe..
    amount: -
    code: 
    about: @reasons
  - word: appealed
    org: clinic-b
    height: 39
    time_ms: day 0 00:00:39
    txid: 14d6b913..
    amount: -
    code: provider
    about: @grounds-2
  - word: overturned
    org: regulator-r
    height: 41
    time_ms: day 0 00:00:41
    txid: 2f9d8e3a..
    amount: -
    code: 
    about: @reasons-2
  - word: adjudicated
    org: payer-c
    height: 43
    time_ms: day 0 00:00:43
    txid: d8e1754c..
    amount: 51304
    code: 
    about: -
  - word: paid
    org: payer-c
    height: 44
    time_ms: day 0 00:00:44
    txid: 0a8c1271..
    amount: 36000
    code: 
    about: @transfer-2
  - word: differs
    org: clinic-b
    height: 45
    time_ms: day 0 00:00:45
    txid: 90df1f2b..
    amount: 36000
    code: 
    about: @transfer-2
  - word: recouped
    org: payer-c
    height: 48
    time_ms: day 0 00:00:48
    txid: 9290fe23..
    amount: 4500
    code: overpaid
    about: @finding
next: -
known: yes
live: yes
coverage:
  payer: payer-c
  plan: basic
  commitment: @cover-doc
  from_ms: day 0 00:00:05
  until_ms: day 730 00:00:05
  period_ms: 31536000000
  member_key: key:anna
  subject: -
  ended_ms: -
  since_height: 5
period: 0
period_from_ms: day 0 00:00:05
deductible: 8000
out_of_pocket: 10200
benefit: 46804
units:
  - code_class: therapy
    units: 8

# A second claim is never answered.  The clinic sees it age; ledger time, not anybody's clock.
clinic-b: claim.submit claim=@claim-3 coverage=@annas-cover period=0 anchors='[{"commitment":"@visit"}]' detail=@lines-3 lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@n9"}]'
later 40d
ask claim.aging org=clinic-b side=provider
ask claim.timeline claim=@claim-3
clinic-b: claim.withdraw claim=@claim-3
ask claim.aging org=payer-c side=payer
ask claim.nullifier nullifier=@n9
ask claim.denials org=clinic-b side=provider
ask claim.rules payer=payer-c plan=basic at_height=3
----
applied
count: 1
claims:
  - claim: @claim-3
    other: payer-c
    status: submitted
    days: 40
    owed: 0
    currency: EUR
    due_ms: day 14 00:00:49
    late: yes
ages:
  - age: 0-30 days
    claims: 0
  - age: 31-60 days
    claims: 1
  - age: 61-90 days
    claims: 0
  - age: over 90 days
    claims: 0
next: -
known: yes
status: submitted
steps:
  - word: submitted
    org: clinic-b
    height: 49
    time_ms: day 0 00:00:49
    txid: cc7f039f..
    amount: 9000
    code: 
    about: -
  - word: answer-overdue
    org: payer-c
    height: 50
    time_ms: day 40 00:00:50
    txid: 
    amount: -
    code: 
    about: -
next: -
applied
count: 0
claims: -
ages:
  - age: 0-30 days
    claims: 0
  - age: 31-60 days
    claims: 0
  - age: 61-90 days
    claims: 0
  - age: over 90 days
    claims: 0
next: -
billed: no
claim: @claim-3
line: 1
provider: clinic-b
payer: payer-c
since_height: 49
adjudications: 1
reasons:
  - reason: not-covered
    lines: 1
  - reason: not-necessary
    lines: 1
denied:
  - claim: @claim-1
    line: 3
    code_class: therapy
    reason: not-necessary
    time_ms: day 0 00:00:28
  - claim: @claim-1
    line: 4
    code_class: wellness
    reason: not-covered
    time_ms: day 0 00:00:28
next: -
known: yes
versions: 1
regulator: regulator-r
height: 3
table: -

# Anna leaves the plan.  From that day on nothing can be claimed under it.
payer-c: claim.coverage.end coverage=@annas-cover at_ms=+1d
payer-d: claim.coverage.end coverage=@annas-cover at_ms=+1d
later 2d
clinic-b: claim.preauth.request preauth=@later coverage=@annas-cover wanted='[{"code_class":"imaging","units":1}]' detail=@why-later
----
applied
claim-not-payer
claim-coverage-ended
