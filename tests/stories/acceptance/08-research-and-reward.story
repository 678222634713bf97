# Research on anonymised data, with reward.
#
# A hospital studies how its patients sleep.  A maker of sleep masks would like to put questions
# to what comes out, an agency's ethics board has to agree, and the patients who take part are to
# get something for it.  Nobody publishes a record here: the ledger holds who agreed to what,
# what every dataset was made of, each use of it and what that costs of the patients' privacy.
network hospital-a:author,custodian,dispenser,research insurer-b:payer maker-c:manufacturer,research agency-d:ethics,regulator,supplier
----

# Three patients are known at the hospital, each by 32 random bytes and the key of their phone.
hospital-a: identity.patient.bind subject=@anna sign_key=key:anna seal_key=@anna-box level=2 +anna
hospital-a: identity.patient.bind subject=@bert sign_key=key:bert seal_key=@bert-box level=2 +bert
hospital-a: identity.patient.bind subject=@carla sign_key=key:carla seal_key=@carla-box level=2 +carla
----
applied
applied
applied

# The hospital cannot approve its own study, nor say that the board agreed: the board signs.
# Together they fix what participants are told, for which purposes, until when, and a budget of
# privacy: epsilon 1.5, in millionths, for all that will ever be published or asked.
hospital-a: research.study.register study=@sleep ethics=hospital-a approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=+300d budget_micro=1500000
hospital-a: research.study.register study=@sleep ethics=agency-d approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=+300d budget_micro=1500000
hospital-a: research.study.register study=@sleep ethics=agency-d approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=+300d budget_micro=1500000 +agency-d/identity
----
research-ethics-unfit
research-ethics-unsigned
applied

# Patients enrol themselves.  The hospital alone cannot do it for Anna, nor the maker, and what
# she signs is the leaflet of this study and no other.
hospital-a: research.join study=@sleep subject=@anna terms=@leaflet
maker-c: research.join study=@sleep subject=@anna terms=@leaflet +anna
hospital-a: research.join study=@sleep subject=@anna terms=@other-leaflet +anna
hospital-a: research.join study=@sleep subject=@anna terms=@leaflet +anna
hospital-a: research.join study=@sleep subject=@bert terms=@leaflet +bert
hospital-a: research.join study=@sleep subject=@carla terms=@leaflet +carla
----
research-subject-unsigned
research-subject-elsewhere
research-terms-differ
applied
applied
applied

# The first dataset, with names and dates taken out so that every row fits at least three people.
# It cites the batch of records that it was made from, which has to be on the ledger, and exactly
# the members of that day: one person more or less and the commitments differ.
hospital-a: record.batch root=@nights count=9000 leaves=""
hospital-a: research.dataset.publish study=@sleep dataset=@curves version=1 manifest=@manifest-1 method=k-anonymity k=3 epsilon_micro=0 sources=["@nights-elsewhere"] upto=3 members=3 head=head:anna+bert+carla+
hospital-a: research.dataset.publish study=@sleep dataset=@curves version=1 manifest=@manifest-1 method=k-anonymity k=3 epsilon_micro=0 sources=["@nights"] upto=3 members=3 head=head:anna+bert+dora+
hospital-a: research.dataset.publish study=@sleep dataset=@curves version=1 manifest=@manifest-1 method=k-anonymity k=3 epsilon_micro=0 sources=["@nights"] upto=3 members=3 head=head:anna+bert+carla+
----
applied
research-source-unanchored
research-members-differ
applied

# The maker asks its question.  Whoever keeps the data has to sign, the purpose has to be one
# that the board approved, and a question that would cost more privacy than is left is refused.
maker-c: research.use dataset=@curves version=1 purpose=HRESCH query=@question-1 result=@result-1 epsilon_micro=600000
maker-c: research.use dataset=@curves version=1 purpose=HQUALIMP query=@question-1 result=@result-1 epsilon_micro=600000 +hospital-a/identity
maker-c: research.use dataset=@curves version=1 purpose=HRESCH query=@question-1 result=@result-1 epsilon_micro=1500001 +hospital-a/identity
maker-c: research.use dataset=@curves version=1 purpose=HRESCH query=@question-1 result=@result-1 epsilon_micro=600000 +hospital-a/identity as the-use
----
research-custodian-unsigned
research-purpose-unapproved
research-budget-spent
applied

# Thanks for it are points, five cents each, good at the hospital's cafe.  The terms never
# change: 1000 points in all, 100 at once, 150 for one person, for uses of this study's data.
hospital-a: reward.program program=@thanks terms=@terms currency=EUR unit_minor=5 budget=1000 award_max=100 holder_max=150 evidence=["research.use"] merchants=["hospital-a"] ends_ms=+200d about=@sleep
maker-c: reward.fund program=@thanks points=220 payment=@transfer
hospital-a: reward.fund program=@thanks points=220 payment=@transfer
----
applied
reward-not-sponsor
applied

# The dataset that was asked had three people in it, so the use rewards three, each once.
# A person takes points with a key made for that alone: who it is, the ledger cannot tell.
# The fund was 220: there is nothing to promise beyond it, and no point is made from nothing.
hospital-a: reward.earn program=@thanks holder=@purse-1 key=key:purse-1 points=101 kind=research.use evidence=tx:the-use slot=0
hospital-a: reward.earn program=@thanks holder=@purse-1 key=key:purse-1 points=100 kind=research.use evidence=@invented slot=0
hospital-a: reward.earn program=@thanks holder=@purse-1 key=key:purse-1 points=100 kind=research.use evidence=tx:the-use slot=0
hospital-a: reward.earn program=@thanks holder=@purse-2 key=key:purse-2 points=100 kind=research.use evidence=tx:the-use slot=0
hospital-a: reward.earn program=@thanks holder=@purse-2 key=key:purse-2 points=100 kind=research.use evidence=tx:the-use slot=1
hospital-a: reward.earn program=@thanks holder=@purse-3 key=key:purse-3 points=100 kind=research.use evidence=tx:the-use slot=2
hospital-a: reward.earn program=@thanks holder=@purse-3 key=key:purse-3 points=20 kind=research.use evidence=tx:the-use slot=3
hospital-a: reward.earn program=@thanks holder=@purse-3 key=key:purse-3 points=20 kind=research.use evidence=tx:the-use slot=2
----
reward-cap-award
reward-evidence-unknown
applied
reward-evidence-used
applied
reward-above-fund
reward-slot-unknown
applied

# A month later one of them has breakfast.  The cafe cannot take points by itself, and no other
# institution takes any: they cannot be sold or given away.
later 30d
hospital-a: reward.redeem program=@thanks holder=@purse-1 points=70 receipt=@breakfast
maker-c: reward.redeem program=@thanks holder=@purse-1 points=70 receipt=@breakfast +purse-1
hospital-a: reward.redeem program=@thanks holder=@purse-1 points=101 receipt=@breakfast +purse-1
hospital-a: reward.redeem program=@thanks holder=@purse-1 points=70 receipt=@breakfast +purse-1
----
reward-holder-unsigned
reward-merchant-unfit
reward-balance-short
applied

# Anna leaves the study, without a reason and through whoever is near: here the insurer's app.
# Every later version is without her; the ledger refuses one that does not know that she left.
# The new version is noisy (differential privacy) and costs 0.5 of the budget.
insurer-b: research.leave study=@sleep subject=@anna
insurer-b: research.leave study=@sleep subject=@anna +anna
hospital-a: research.dataset.publish study=@sleep dataset=@curves version=2 manifest=@manifest-2 method=differential-privacy k=0 epsilon_micro=500000 sources=["@nights"] upto=3 members=3 head=head:anna+bert+carla+
hospital-a: research.dataset.publish study=@sleep dataset=@curves version=2 manifest=@manifest-2 method=differential-privacy k=0 epsilon_micro=500000 sources=["@nights"] upto=4 members=2 head=head:anna+bert+carla+anna-
maker-c: research.use dataset=@curves version=1 purpose=HRESCH query=@question-2 result=@result-2 epsilon_micro=400000 +hospital-a/identity
maker-c: research.use dataset=@curves version=2 purpose=HRESCH query=@question-2 result=@result-2 epsilon_micro=400001 +hospital-a/identity
maker-c: research.use dataset=@curves version=2 purpose=HRESCH query=@question-2 result=@result-2 epsilon_micro=400000 +hospital-a/identity
----
research-subject-unsigned
applied
research-members-stale
applied
research-version-superseded
research-budget-spent
applied

# What Anna asks: which studies was I in, which versions include me, who used them, what for.
ask research.mine subject=@anna
ask research.included subject=@anna study=@sleep
ask research.uses study=@sleep subject=@anna
----
total: 1
studies:
  - study: @sleep
    org: hospital-a
    ethics: agency-d
    purposes: HRESCH, PUBHLTH
    until_ms: day 300 00:00:06
    over: no
    member: no
    stays:
      - org: hospital-a
        joined: 1
        joined_height: 10
        joined_ms: day 0 00:00:10
        left: 4
        left_height: 38
        left_ms: day 30 00:00:38
    publications_total: 2
    uses_total: 2
next: -
versions:
  - dataset: @curves
    version: 1
    latest: no
    method: k-anonymity
    k: 3
    epsilon_micro: 0
    members: 3
    recalled: no
    height: 16
    time_ms: day 0 00:00:16
next: -
uses:
  - dataset: @curves
    version: 1
    upto: 3
    org: maker-c
    purpose: HRESCH
    query: @question-1
    result: @result-1
    epsilon_micro: 600000
    spent_micro: 600000
    txid: tx:the-use
    height: 20
    time_ms: day 0 00:00:20
next: -

# What the board asks: what is left of the privacy, and what was the first version made of?
ask research.budget study=@sleep
ask research.provenance dataset=@curves version=1
----
known: yes
org: hospital-a
ethics: agency-d
purposes: HRESCH, PUBHLTH
until_ms: day 300 00:00:06
over: no
budget_micro: 1500000
spent_micro: 1500000
left_micro: 0
members: 2
changes: 4
head: head:anna+bert+carla+anna-
publications_total: 2
uses_total: 2
known: yes
study: @sleep
org: hospital-a
latest: no
outdated: yes
version:
  manifest: @manifest-1
  method: k-anonymity
  k: 3
  epsilon_micro: 0
  sources: @nights
  upto: 3
  members: 3
  head: head:anna+bert+carla+
  height: 16
  time_ms: day 0 00:00:16
  recalled_reason: -
  recalled_height: -
  recalled_ms: -
sources:
  - root: @nights
    org: hospital-a
    count: 9000
    height: 13
    time_ms: day 0 00:00:13

# What the hospital's accountant asks: what do we owe, to whom, and does it add up?
ask reward.liabilities program=@thanks
ask reward.conservation program=@thanks
# What a patient asks: what are my points?
ask reward.statement holder=@purse-1
----
known: yes
org: hospital-a
status: open
currency: EUR
unit_minor: 5
ends_ms: day 200 00:00:21
outstanding: 150
outstanding_minor: 750
unearned: 0
unearned_minor: 0
redeemed: 70
redeemed_minor: 350
merchants:
  - org: hospital-a
    points: 70
    amount_minor: 350
known: yes
holds: yes
funded: 220
unearned: 0
outstanding: 150
redeemed: 70
expired: 0
clawed: 0
holders: 3
budget: 1000
award_max: 100
holder_max: 150
evidence: research.use
about: @sleep
terms: @terms
status: open
known: yes
program: @thanks
org: hospital-a
status: open
currency: EUR
balance: 30
amount_minor: 150
earned: 100
redeemed: 70
expired: 0
clawed: 0
usable_until_ms: day 200 00:00:21
entries_total: 2
entries:
  - kind: earn
    points: 100
    balance: 100
    org: hospital-a
    award: 0
    receipt: -
    reason: -
    height: 26
    time_ms: day 0 00:00:26
  - kind: redeem
    points: 70
    balance: 30
    org: hospital-a
    award: -
    receipt: @breakfast
    reason: -
    height: 36
    time_ms: day 30 00:00:36
next: -

# The programme ends after 200 days: what nobody spent expires on every node in the same block,
# and it still adds up.  The study ends after 300.
later 175d
hospital-a: reward.redeem program=@thanks holder=@purse-2 points=50 receipt=@late-breakfast +purse-2
ask reward.conservation program=@thanks
hospital-a: reward.close program=@thanks
later 100d
maker-c: research.use dataset=@curves version=2 purpose=HRESCH query=@question-3 result=@result-3 epsilon_micro=0 +hospital-a/identity
ask reward.liabilities program=@thanks
----
reward-program-over
known: yes
holds: yes
funded: 220
unearned: 0
outstanding: 0
redeemed: 70
expired: 150
clawed: 0
holders: 3
budget: 1000
award_max: 100
holder_max: 150
evidence: research.use
about: @sleep
terms: @terms
status: ended
applied
research-study-over
known: yes
org: hospital-a
status: closed
currency: EUR
unit_minor: 5
ends_ms: day 200 00:00:21
outstanding: 0
outstanding_minor: 0
unearned: 0
unearned_minor: 0
redeemed: 70
redeemed_minor: 350
merchants:
  - org: hospital-a
    points: 70
    amount_minor: 350
