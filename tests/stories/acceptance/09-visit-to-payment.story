# A claim, from the visit to the last cent.
#
# The insurer's rules are a table on the ledger, so nobody has to believe a payment: every node
# computes what the table gives and refuses an answer that is a cent off.  Who Anna is and what
# she has stays between the hospital and the insurer; the ledger has classes, units and amounts.
network hospital-a:author,custodian,dispenser,research insurer-b:payer maker-c:manufacturer,research agency-d:ethics,regulator,supplier
----

# The plan: an examination is allowed at 80.00, of which the member pays the first 50.00 of a
# year and a fifth of the rest; imaging is allowed at 70 % of the charge, needs to be asked for
# and costs the member 5.00 and a tenth; therapy has six units a year.  Nothing else is covered.
# The insurer answers within 14 days, and the agency is where an appeal ends.
insurer-b: claim.rule.publish plan=visit-09 version=1 currency=EUR deductible=5000 answer_ms=14d appeal_ms=60d regulator=agency-d tariffs='[{"code_class":"exam","allowed":8000,"percent_bp":null,"coinsurance_bp":2000,"deductible":true},{"code_class":"imaging","allowed":null,"percent_bp":7000,"coinsurance_bp":1000,"copay":500,"preauth":true},{"code_class":"therapy","allowed":4500,"percent_bp":null,"units_max":6}]'
# Anna is insured.  She made a key for this coverage alone.
insurer-b: claim.coverage.register coverage=@cover plan=visit-09 commitment=@policy from_ms=+0d until_ms=+730d member_key=key:anna
hospital-a: record.anchor commitment=@visit tag=@visit-tag:16 canon=2
hospital-a: claim.submit claim=@claim coverage=@cover period=0 anchors='[{"commitment":"@visit"}]' detail=@bill lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@exam"}]'
----
applied
applied
applied
claim-rules-inactive

# Under a table that is not in force there is nothing to claim.  It never comes into force for
# blocks that have been, and this plan's regulator signs for it.
insurer-b: claim.rule.activate plan=visit-09 version=1 from_height=height+1 +agency-d/identity
insurer-b: claim.rule.activate plan=visit-09 version=1 from_height=height+4
insurer-b: claim.rule.activate plan=visit-09 version=1 from_height=height+4 +agency-d/identity
later 30d
----
claim-activation-past
claim-regulator-missing
applied

# The hospital wants to take pictures of Anna's knee and asks first; the insurer grants one, for
# 20 days, and cannot grant more than was asked for.
hospital-a: claim.preauth.request preauth=@pictures coverage=@cover wanted='[{"code_class":"imaging","units":1}]' detail=@why-pictures
insurer-b: claim.preauth.answer preauth=@pictures reason=granted granted='[{"code_class":"imaging","units":2}]' until_ms=+20d
insurer-b: claim.preauth.answer preauth=@pictures reason=granted granted='[{"code_class":"imaging","units":1}]' until_ms=+20d
ask claim.preauth.state preauth=@pictures
----
applied
claim-preauth-exceeded
applied
known: yes
usable: yes
provider: hospital-a
payer: insurer-b
status: granted
reason: granted
grants:
  - code_class: imaging
    units: 1
    used: 0
until_ms: day 50 00:00:11

# The claim cites the visit as the hospital anchored it; a visit that nobody anchored is no
# ground to bill.  Every service carries its nullifier: billed once, and never again.
hospital-a: claim.submit claim=@claim coverage=@cover period=0 preauth=@pictures anchors='[{"commitment":"@invented-visit"}]' detail=@bill lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@exam"}]'
hospital-a: claim.submit claim=@claim coverage=@cover period=0 preauth=@pictures anchors='[{"commitment":"@visit"}]' detail=@bill lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@exam"},{"code_class":"imaging","units":1,"charge":25005,"nullifier":"@knee"},{"code_class":"therapy","units":4,"charge":20000,"nullifier":"@therapy"},{"code_class":"wellness","units":1,"charge":3000,"nullifier":"@sauna"}]'
hospital-a: claim.submit claim=@claim-again coverage=@cover period=0 anchors='[{"commitment":"@visit"}]' detail=@bill-again lines='[{"code_class":"exam","units":1,"charge":9000,"nullifier":"@exam"}]'
hospital-a: claim.submit claim=@claim-more coverage=@cover period=0 preauth=@pictures anchors='[{"commitment":"@visit"}]' detail=@bill-more lines='[{"code_class":"imaging","units":1,"charge":25005,"nullifier":"@other-knee"}]'
ask claim.nullifier nullifier=@exam
----
claim-anchor-unknown
applied
claim-double-billed
claim-preauth-spent
billed: yes
claim: @claim
line: 1
provider: hospital-a
payer: insurer-b
since_height: 13

# The insurer would like to see the report of the pictures first.  That is said on the ledger,
# with a clock of ten days; until the hospital has answered, it cannot refuse for lack of it.
insurer-b: claim.pend claim=@claim reason=documents needed=@the-report wait_ms=10d
insurer-b: claim.adjudicate claim=@claim version=1 allowed=0 patient=0 pay=0 shares='[{"reason":"documents-missing","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"documents-missing","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"documents-missing","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"documents-missing","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
later 3d
hospital-a: claim.inform claim=@claim document=@report
----
applied
claim-still-pended
applied

# The insurer finds the therapy not necessary.  What does the table give then?  Anybody asks.
ask claim.computed claim=@claim denied=[3] reasons=["not-necessary"]
----
known: yes
waits: yes
version: 1
shares:
  - reason: covered
    units: 1
    allowed: 8000
    deductible: 5000
    copay: 0
    coinsurance: 600
    beyond: 0
    pay: 2400
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
patient: 7800
pay: 17704

# One cent less for the pictures is refused by every node; so are sums that do not add up.
insurer-b: claim.adjudicate claim=@claim version=1 allowed=25503 patient=7800 pay=17703 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":5000,"copay":0,"coinsurance":600,"beyond":0,"pay":2400},{"reason":"covered","units":1,"allowed":17503,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15303},{"reason":"not-necessary","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
insurer-b: claim.adjudicate claim=@claim version=1 allowed=25504 patient=7800 pay=17703 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":5000,"copay":0,"coinsurance":600,"beyond":0,"pay":2400},{"reason":"covered","units":1,"allowed":17504,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15304},{"reason":"not-necessary","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
insurer-b: claim.adjudicate claim=@claim version=1 allowed=25504 patient=7800 pay=17704 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":5000,"copay":0,"coinsurance":600,"beyond":0,"pay":2400},{"reason":"covered","units":1,"allowed":17504,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15304},{"reason":"not-necessary","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
----
claim-adjudication-disagrees
claim-totals-wrong
applied

# 177.04 is owed, and a cent more cannot be paid.  The hospital says what its bank saw.
insurer-b: claim.pay payment=@transfer provider=hospital-a currency=EUR remittance=@advice parts='[{"claim":"@claim","amount":17705}]'
insurer-b: claim.pay payment=@transfer provider=hospital-a currency=EUR remittance=@advice parts='[{"claim":"@claim","amount":17704}]'
hospital-a: claim.reconcile payment=@transfer received=17704
----
claim-overpaid
applied
applied

# Anna thinks that she needs the therapy.  Her key speaks for her, nobody else's; sauna is not
# a question of need and cannot be appealed as one.  The insurer stays with its no; the second
# appeal is the agency's, and the agency gives the therapy to Anna.
hospital-a: claim.appeal.open claim=@claim by=patient lines=[3] document=@grounds
hospital-a: claim.appeal.open claim=@claim by=patient lines=[4] document=@grounds +anna
hospital-a: claim.appeal.open claim=@claim by=patient lines=[3] document=@grounds +anna
agency-d: claim.appeal.decide claim=@claim overturned=[3] document=@reasons
insurer-b: claim.appeal.decide claim=@claim overturned=[] document=@reasons
later 2d
hospital-a: claim.appeal.open claim=@claim by=provider lines=[3] document=@grounds-2
insurer-b: claim.appeal.decide claim=@claim overturned=[] document=@reasons-2
agency-d: claim.appeal.decide claim=@claim overturned=[3] document=@reasons-2
----
claim-member-missing
claim-not-denied
applied
claim-appeal-not-yours
applied
applied
claim-appeal-not-yours
applied

# The same denial a second time is refused.  Four units of therapy at 45.00 are owed as well.
insurer-b: claim.adjudicate claim=@claim version=1 allowed=25504 patient=7800 pay=17704 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":5000,"copay":0,"coinsurance":600,"beyond":0,"pay":2400},{"reason":"covered","units":1,"allowed":17504,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15304},{"reason":"not-necessary","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
ask claim.computed claim=@claim
insurer-b: claim.adjudicate claim=@claim version=1 allowed=43504 patient=7800 pay=35704 shares='[{"reason":"covered","units":1,"allowed":8000,"deductible":5000,"copay":0,"coinsurance":600,"beyond":0,"pay":2400},{"reason":"covered","units":1,"allowed":17504,"deductible":0,"copay":500,"coinsurance":1700,"beyond":0,"pay":15304},{"reason":"covered","units":4,"allowed":18000,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":18000},{"reason":"not-covered","units":0,"allowed":0,"deductible":0,"copay":0,"coinsurance":0,"beyond":0,"pay":0}]'
insurer-b: claim.pay payment=@transfer-2 provider=hospital-a currency=EUR remittance=@advice-2 parts='[{"claim":"@claim","amount":18000}]'
hospital-a: claim.reconcile payment=@transfer-2 received=18000
----
claim-denial-overturned
known: yes
waits: yes
version: 1
shares:
  - reason: covered
    units: 1
    allowed: 8000
    deductible: 5000
    copay: 0
    coinsurance: 600
    beyond: 0
    pay: 2400
  - reason: covered
    units: 1
    allowed: 17504
    deductible: 0
    copay: 500
    coinsurance: 1700
    beyond: 0
    pay: 15304
  - reason: covered
    units: 4
    allowed: 18000
    deductible: 0
    copay: 0
    coinsurance: 0
    beyond: 0
    pay: 18000
  - reason: not-covered
    units: 0
    allowed: 0
    deductible: 0
    copay: 0
    coinsurance: 0
    beyond: 0
    pay: 0
allowed: 43504
patient: 7800
pay: 35704
applied
applied
applied

# Where is my claim?  What happened, step by step, and who did it.
ask claim.timeline claim=@claim
----
known: yes
status: adjudicated
steps:
  - word: submitted
    org: hospital-a
    height: 13
    time_ms: day 30 00:00:13
    txid: f3b13b71..
    amount: 57005
    code: 
    about: -
  - word: pended
    org: insurer-b
    height: 16
    time_ms: day 30 00:00:16
    txid: aa9f29c4..
    amount: -
    code: documents
    about: @the-report
  - word: informed
    org: hospital-a
    height: 19
    time_ms: day 33 00:00:19
    txid: c03d94a7..
    amount: -
    code: 
    about: @report
  - word: adjudicated
    org: insurer-b
    height: 22
    time_ms: day 33 00:00:22
    txid: 53f93a76..
    amount: 17704
    code: 
    about: -
  - word: paid
    org: insurer-b
    height: 24
    time_ms: day 33 00:00:24
    txid: 9be2fbe4..
    amount: 17704
    code: 
    about: @transfer
  - word: reconciled
    org: hospital-a
    height: 25
    time_ms: day 33 00:00:25
    txid: 8b92a46f..
    amount: 17704
    code: 
    about: @transfer
  - word: appealed
    org: hospital-a
    height: 28
    time_ms: day 33 00:00:28
    txid: e4d00d31..
    amount: -
    code: patient
    about: @grounds
  - word: upheld
    org: insurer-b
    height: 30
    time_ms: day 33 00:00:30
    txid: 71dcc413..
    amount: -
    code: 
    about: @reasons
  - word: appealed
    org: hospital-a
    height: 32
    time_ms: day 35 00:00:32
    txid: d65ebf67..
    amount: -
    code: provider
    about: @grounds-2
  - word: overturned
    org: agency-d
    height: 34
    time_ms: day 35 00:00:34
    txid: 24f217eb..
    amount: -
    code: 
    about: @reasons-2
  - word: adjudicated
    org: insurer-b
    height: 36
    time_ms: day 35 00:00:36
    txid: 49e36553..
    amount: 35704
    code: 
    about: -
  - word: paid
    org: insurer-b
    height: 37
    time_ms: day 35 00:00:37
    txid: 47fab60c..
    amount: 18000
    code: 
    about: @transfer-2
  - word: reconciled
    org: hospital-a
    height: 38
    time_ms: day 35 00:00:38
    txid: 054aea0e..
    amount: 18000
    code: 
    about: @transfer-2
next: -

# Why was something denied, in the last 20 days?
ask claim.denials org=hospital-a side=provider from_ms=-20d
----
adjudications: 1
reasons:
  - reason: not-covered
    lines: 1
  - reason: not-necessary
    lines: 1
denied:
  - claim: @claim
    line: 3
    code_class: therapy
    reason: not-necessary
    time_ms: day 33 00:00:22
  - claim: @claim
    line: 4
    code_class: wellness
    reason: not-covered
    time_ms: day 33 00:00:22
next: -

# How was it computed, line by line, what is still owed, and what has Anna used of her year?
ask claim.explained claim=@claim
ask claim.owed claim=@claim
ask claim.appeals claim=@claim
ask claim.coverage.state coverage=@cover
----
known: yes
number: 2
of: 2
plan: visit-09
version: 1
currency: EUR
deductible: 5000
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
    computed_now: no
    deductible_before: 5000
    out_of_pocket_before: 7800
    benefit_before: 17704
    units_before: 0
    share:
      reason: covered
      units: 1
      allowed: 8000
      deductible: 5000
      copay: 0
      coinsurance: 600
      beyond: 0
      pay: 2400
    patient: 5600
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
    computed_now: no
    deductible_before: 5000
    out_of_pocket_before: 7800
    benefit_before: 17704
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
    units: 4
    charge: 20000
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
    deductible_before: 5000
    out_of_pocket_before: 7800
    benefit_before: 17704
    units_before: 0
    share:
      reason: covered
      units: 4
      allowed: 18000
      deductible: 0
      copay: 0
      coinsurance: 0
      beyond: 0
      pay: 18000
    patient: 0
  - number: 4
    code_class: wellness
    units: 1
    charge: 3000
    rule: -
    preauth: no
    computed_now: no
    deductible_before: 5000
    out_of_pocket_before: 7800
    benefit_before: 35704
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
charge: 57005
allowed: 43504
patient: 7800
pay: 35704
known: yes
status: adjudicated
provider: hospital-a
payer: insurer-b
currency: EUR
charge: 57005
approved: 35704
patient: 7800
paid: 35704
recouped: 0
held: 35704
owed: 0
due_ms: -
late: no
known: yes
appeals:
  - level: 1
    by: patient
    lines: 3
    status: upheld
    opened_ms: day 33 00:00:28
    due_ms: day 47 00:00:28
    overdue: no
    decided_ms: day 33 00:00:30
    overturned: -
  - level: 2
    by: provider
    lines: 3
    status: overturned
    opened_ms: day 35 00:00:32
    due_ms: day 49 00:00:32
    overdue: no
    decided_ms: day 35 00:00:34
    overturned: 3
known: yes
live: yes
coverage:
  payer: insurer-b
  plan: visit-09
  commitment: @policy
  from_ms: day 0 00:00:02
  until_ms: day 730 00:00:02
  period_ms: 31536000000
  member_key: key:anna
  subject: -
  ended_ms: -
  since_height: 2
period: 0
period_from_ms: day 0 00:00:02
deductible: 5000
out_of_pocket: 7800
benefit: 35704
units:
  - code_class: therapy
    units: 4
