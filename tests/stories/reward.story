# Who gives data to a study gets points, and a cafe at the hospital takes them.  No point is ever
# passed from one patient to another: there is no operation for it.
network university:research company:research board:ethics hospital:author cafe:author other-cafe:author
hospital: identity.patient.bind subject=@anna sign_key=key:anna seal_key=key:anna-seal level=2 +anna
hospital: identity.patient.bind subject=@bert sign_key=key:bert seal_key=key:bert-seal level=2 +bert
university: research.study.register study=@asthma ethics=board approval=@approval terms=@leaflet purposes=["HRESCH"] until_ms=+365d budget_micro=2000000 +board/identity
hospital: research.join study=@asthma subject=@anna terms=@leaflet +anna as anna-joins
hospital: research.join study=@asthma subject=@bert terms=@leaflet +bert as bert-joins
hospital: record.batch root=@march count=4000 leaves=""
university: research.dataset.publish study=@asthma dataset=@peak-flow version=1 manifest=@manifest-1 method=k-anonymity k=5 epsilon_micro=0 sources=["@march"] upto=2 members=2 head=head:anna+bert+
university: research.use dataset=@peak-flow version=1 purpose=HRESCH query=@query-1 result=@result-1 epsilon_micro=500000 as the-use
----
applied
applied
applied
applied
applied
applied
applied
applied

# The programme: a point is worth five cents; at most 100 points for one deed and 150 for one
# holder.  Points last 90 days after a holder last earned or spent some.
university: reward.program program=@thanks terms=@terms currency=EUR unit_minor=5 budget=1000 award_max=100 holder_max=150 evidence=["research.join","research.use"] merchants=["bakery","cafe"] ends_ms=+200d about=@asthma lifetime_ms=90d
university: reward.program program=@thanks terms=@terms currency=EUR unit_minor=5 budget=1000 award_max=100 holder_max=150 evidence=["research.join","research.use"] merchants=["cafe"] ends_ms=1767225600000 about=@asthma lifetime_ms=90d
university: reward.program program=@thanks terms=@terms currency=EUR unit_minor=5 budget=1000 award_max=100 holder_max=150 evidence=["research.join","research.use"] merchants=["cafe"] ends_ms=+200d about=@asthma lifetime_ms=90d
university: reward.program program=@thanks terms=@terms currency=EUR unit_minor=5 budget=1000 award_max=100 holder_max=150 evidence=["research.join","research.use"] merchants=["cafe"] ends_ms=+200d about=@asthma lifetime_ms=90d
----
reward-merchant-unknown
reward-ends-past
applied
reward-program-exists

# Nothing is earned that is not funded.
university: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=80 kind=research.join evidence=tx:anna-joins
company: reward.fund program=@thanks points=100 payment=@payment-1
university: reward.fund program=@thanks points=1001 payment=@payment-1
university: reward.fund program=@nothing points=100 payment=@payment-1
university: reward.fund program=@thanks points=300 payment=@payment-1
----
reward-above-fund
reward-not-sponsor
reward-over-budget
reward-program-unknown
applied

# Anna made a holder for this programme, with a key of its own: her key as a patient would say who
# she is, and is refused.  She gets 80 points for joining; the evidence counts once, whoever comes
# with it.
company: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=80 kind=research.join evidence=tx:anna-joins
university: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=101 kind=research.join evidence=tx:anna-joins
university: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=80 kind=research.join evidence=@invented
university: reward.earn program=@thanks holder=@holder-a key=key:hospital/identity points=80 kind=research.join evidence=tx:anna-joins
university: reward.earn program=@thanks holder=@holder-a key=key:anna points=80 kind=research.join evidence=tx:anna-joins
university: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=80 kind=research.join evidence=tx:anna-joins
university: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=80 kind=research.join evidence=tx:anna-joins
university: reward.earn program=@thanks holder=@holder-b key=key:holder-b points=80 kind=research.join evidence=tx:anna-joins
university: reward.earn program=@thanks holder=@holder-b key=key:holder-a points=80 kind=research.join evidence=tx:bert-joins
university: reward.earn program=@thanks holder=@holder-a key=key:holder-b points=80 kind=research.join evidence=tx:bert-joins
university: reward.earn program=@thanks holder=@holder-b key=key:holder-b points=80 kind=research.join evidence=tx:bert-joins
----
reward-not-sponsor
reward-cap-award
reward-evidence-unknown
reward-key-used
reward-key-used
applied
reward-evidence-used
reward-evidence-used
reward-key-used
reward-holder-key
applied

# The dataset that was used has two people in it, so the use has two slots.
university: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=71 kind=research.use evidence=tx:the-use slot=1
university: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=70 kind=research.use evidence=tx:the-use slot=2
university: reward.earn program=@thanks holder=@holder-a key=key:holder-a points=70 kind=research.use evidence=tx:the-use slot=1
university: reward.earn program=@thanks holder=@holder-b key=key:holder-b points=71 kind=research.use evidence=tx:the-use slot=0
----
reward-cap-holder
reward-slot-unknown
applied
reward-above-fund

# A company that took no part does not reward what others did, nor use up their evidence.
company: reward.program program=@poach terms=@terms currency=EUR unit_minor=1 budget=1000 award_max=100 holder_max=150 evidence=["research.use"] merchants=["cafe"] ends_ms=+200d
company: reward.fund program=@poach points=300 payment=@payment-2
company: reward.earn program=@poach holder=@holder-c key=key:holder-c points=1 kind=research.use evidence=tx:the-use slot=0
company: reward.earn program=@poach holder=@holder-c key=key:holder-c points=1 kind=research.join evidence=tx:anna-joins
company: research.use dataset=@peak-flow version=1 purpose=HRESCH query=@query-2 result=@result-2 epsilon_micro=0 +university/identity as the-second-use
company: reward.earn program=@poach holder=@holder-a key=key:holder-a points=1 kind=research.use evidence=tx:the-second-use slot=0
company: reward.earn program=@poach holder=@holder-c key=key:holder-c points=9 kind=research.use evidence=tx:the-second-use slot=0
----
applied
applied
reward-evidence-unfit
reward-evidence-unfit
applied
reward-holder-elsewhere
applied

# Anna drinks coffee.  The cafe cannot take points by itself, others cannot take any.
cafe: reward.redeem program=@thanks holder=@holder-a points=40 receipt=@receipt-1
cafe: reward.redeem program=@thanks holder=@holder-a points=40 receipt=@receipt-1 +holder-b
cafe: reward.redeem program=@thanks holder=@holder-a points=151 receipt=@receipt-1 +holder-a
cafe: reward.redeem program=@thanks holder=@holder-z points=1 receipt=@receipt-1 +holder-a
cafe: reward.redeem program=@thanks holder=@holder-c points=1 receipt=@receipt-1 +holder-c
other-cafe: reward.redeem program=@thanks holder=@holder-a points=40 receipt=@receipt-1 +holder-a
cafe: reward.redeem program=@thanks holder=@holder-a points=40 receipt=@receipt-1 +holder-a
ask reward.statement holder=@holder-a
ask reward.liabilities program=@thanks
----
reward-holder-unsigned
reward-holder-unsigned
reward-balance-short
reward-holder-unknown
reward-holder-elsewhere
reward-merchant-unfit
applied
known: yes
program: @thanks
org: university
status: open
currency: EUR
balance: 110
amount_minor: 550
earned: 150
redeemed: 40
expired: 0
clawed: 0
usable_until_ms: day 90 00:00:46
entries_total: 3
entries:
  - kind: earn
    points: 80
    balance: 80
    org: university
    award: 0
    receipt: -
    reason: -
    height: 23
    time_ms: day 0 00:00:23
  - kind: earn
    points: 70
    balance: 150
    org: university
    award: 1
    receipt: -
    reason: -
    height: 31
    time_ms: day 0 00:00:31
  - kind: redeem
    points: 40
    balance: 110
    org: cafe
    award: -
    receipt: @receipt-1
    reason: -
    height: 46
    time_ms: day 0 00:00:46
next: -
known: yes
org: university
status: open
currency: EUR
unit_minor: 5
ends_ms: day 200 00:00:11
outstanding: 190
outstanding_minor: 950
unearned: 70
unearned_minor: 350
redeemed: 40
redeemed_minor: 200
merchants:
  - org: cafe
    points: 40
    amount_minor: 200

# An award was a mistake: it is taken back, as far as there is something left of it.
hospital: reward.clawback program=@thanks holder=@holder-a award=1 points=70 reason=error
university: reward.clawback program=@thanks holder=@holder-a award=2 points=70 reason=error
university: reward.clawback program=@thanks holder=@holder-a award=1 points=71 reason=error
university: reward.clawback program=@thanks holder=@holder-a award=1 points=70 reason=error
university: reward.clawback program=@thanks holder=@holder-a award=0 points=80 reason=fraud
university: reward.close program=@thanks
----
reward-not-sponsor
reward-award-unknown
reward-clawback-above
applied
reward-balance-short
reward-outstanding

# Ninety days without earning or spending: Bert's points may expire, not a day sooner.
later 89d
university: reward.expire program=@thanks holder=@holder-b
later 1d
cafe: reward.redeem program=@thanks holder=@holder-a points=10 receipt=@receipt-2 +holder-a
university: reward.expire program=@thanks holder=@holder-a
university: reward.expire program=@thanks holder=@holder-b
university: reward.expire program=@thanks holder=@holder-b
ask reward.statement holder=@holder-b
ask reward.conservation program=@thanks
----
reward-not-due
applied
reward-not-due
applied
reward-not-due
known: yes
program: @thanks
org: university
status: open
currency: EUR
balance: 0
amount_minor: 0
earned: 80
redeemed: 0
expired: 80
clawed: 0
usable_until_ms: -
entries_total: 2
entries:
  - kind: earn
    points: 80
    balance: 80
    org: university
    award: 0
    receipt: -
    reason: -
    height: 28
    time_ms: day 0 00:00:28
  - kind: expire
    points: 80
    balance: 0
    org: university
    award: -
    receipt: -
    reason: -
    height: 58
    time_ms: day 90 00:00:58
next: -
known: yes
holds: yes
funded: 300
unearned: 70
outstanding: 30
redeemed: 50
expired: 80
clawed: 70
holders: 2
budget: 1000
award_max: 100
holder_max: 150
evidence: research.join, research.use
about: @asthma
terms: @terms
status: open

# The end of the programme: what Anna has left expires by itself, and nothing moves any more.
later 110d
ask reward.statement holder=@holder-a start=3
cafe: reward.redeem program=@thanks holder=@holder-a points=10 receipt=@receipt-3 +holder-a
university: reward.fund program=@thanks points=1 payment=@payment-3
ask reward.conservation program=@thanks
company: reward.close program=@thanks
university: reward.close program=@nothing
university: reward.close program=@thanks
university: reward.close program=@thanks
ask reward.liabilities program=@thanks
ask reward.awards holder=@holder-a limit=1
ask reward.statement holder=@holder-z
----
known: yes
program: @thanks
org: university
status: ended
currency: EUR
balance: 0
amount_minor: 0
earned: 150
redeemed: 50
expired: 30
clawed: 70
usable_until_ms: -
entries_total: 5
entries:
  - kind: clawback
    points: 70
    balance: 40
    org: university
    award: 1
    receipt: -
    reason: error
    height: 50
    time_ms: day 0 00:00:50
  - kind: redeem
    points: 10
    balance: 30
    org: cafe
    award: -
    receipt: @receipt-2
    reason: -
    height: 56
    time_ms: day 90 00:00:56
next: -
reward-program-over
reward-program-over
known: yes
holds: yes
funded: 300
unearned: 70
outstanding: 0
redeemed: 50
expired: 110
clawed: 70
holders: 2
budget: 1000
award_max: 100
holder_max: 150
evidence: research.join, research.use
about: @asthma
terms: @terms
status: ended
reward-not-sponsor
reward-program-unknown
applied
reward-program-over
known: yes
org: university
status: closed
currency: EUR
unit_minor: 5
ends_ms: day 200 00:00:11
outstanding: 0
outstanding_minor: 0
unearned: 70
unearned_minor: 350
redeemed: 50
redeemed_minor: 250
merchants:
  - org: cafe
    points: 50
    amount_minor: 250
total: 2
awards:
  - points: 80
    kind: research.join
    evidence: tx:anna-joins
    slot: 0
    clawed: 0
    height: 23
    time_ms: day 0 00:00:23
next: 1
known: no
program: -
org: -
status: -
currency: -
balance: 0
amount_minor: 0
earned: 0
redeemed: 0
expired: 0
clawed: 0
usable_until_ms: -
entries_total: 0
entries: -
next: -
