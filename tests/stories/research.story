# A university wants to learn from the records of a hospital's patients; the board of another
# institution has to agree; a company would like to use what comes out.
network university:research company:research board:ethics hospital:author clinic:author
hospital: identity.patient.bind subject=@anna sign_key=key:anna seal_key=key:anna-seal level=2 +anna
hospital: identity.patient.bind subject=@bert sign_key=key:bert seal_key=key:bert-seal level=2 +bert
clinic: identity.patient.bind subject=@carla sign_key=key:carla seal_key=key:carla-seal level=2 +carla
----
applied
applied
applied

# Without the board's signature there is no study, and nobody is their own board.
university: research.study.register study=@asthma ethics=board approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=+365d budget_micro=2000000
university: research.study.register study=@asthma ethics=hospital approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=+365d budget_micro=2000000 +hospital/identity
hospital: research.study.register study=@asthma ethics=board approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=+365d budget_micro=2000000 +board/identity
university: research.study.register study=@asthma ethics=board approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=1767225600000 budget_micro=2000000 +board/identity
university: research.study.register study=@asthma ethics=board approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=+365d budget_micro=2000000 +board/identity
university: research.study.register study=@asthma ethics=board approval=@approval terms=@leaflet purposes=["HRESCH","PUBHLTH"] until_ms=+365d budget_micro=2000000 +board/identity
----
research-ethics-unsigned
research-ethics-unfit
role-missing
research-until-past
applied
research-study-exists

# Anna joins at her hospital.  Only she can: the hospital alone cannot enrol her, nor can another
# patient's key, nor another hospital; and what she signs are the study's terms, not others.
hospital: research.join study=@asthma subject=@anna terms=@leaflet
hospital: research.join study=@asthma subject=@anna terms=@leaflet +bert
clinic: research.join study=@asthma subject=@anna terms=@leaflet +anna
hospital: research.join study=@asthma subject=@anna terms=@old-leaflet +anna
hospital: research.join study=@diabetes subject=@anna terms=@leaflet +anna
hospital: research.join study=@asthma subject=@nobody terms=@leaflet +anna
hospital: research.join study=@asthma subject=@anna terms=@leaflet +anna
hospital: research.join study=@asthma subject=@anna terms=@leaflet +anna
hospital: research.join study=@asthma subject=@bert terms=@leaflet +bert
clinic: research.join study=@asthma subject=@carla terms=@leaflet +carla
ask research.members study=@asthma
----
research-subject-unsigned
research-subject-unsigned
research-subject-elsewhere
research-terms-differ
research-study-unknown
research-subject-unknown
applied
research-joined-already
applied
applied
known: yes
total: 3
changes:
  - subject: @anna
    joined: yes
    members: 1
    head: 951bf0b2..
    height: 16
    time_ms: day 0 00:00:16
  - subject: @bert
    joined: yes
    members: 2
    head: 85ab3a8a..
    height: 18
    time_ms: day 0 00:00:18
  - subject: @carla
    joined: yes
    members: 3
    head: 776b3c0e..
    height: 19
    time_ms: day 0 00:00:19
next: -

# The first version.  Its sources have to be anchored, and the membership that it was made from
# is stated by change number, count and commitment, which the ledger compares with its own.
hospital: record.batch root=@march count=4000 leaves=""
university: research.dataset.publish study=@asthma dataset=@peak-flow version=1 manifest=@manifest-1 method=k-anonymity k=5 epsilon_micro=0 sources=["@april"] upto=3 members=3 head=head:anna+bert+carla+
university: research.dataset.publish study=@asthma dataset=@peak-flow version=2 manifest=@manifest-1 method=k-anonymity k=5 epsilon_micro=0 sources=["@march"] upto=3 members=3 head=head:anna+bert+carla+
university: research.dataset.publish study=@asthma dataset=@peak-flow version=1 manifest=@manifest-1 method=k-anonymity k=5 epsilon_micro=0 sources=["@march"] upto=3 members=4 head=head:anna+bert+carla+
university: research.dataset.publish study=@asthma dataset=@peak-flow version=1 manifest=@manifest-1 method=k-anonymity k=5 epsilon_micro=0 sources=["@march"] upto=3 members=3 head=head:anna+bert+
university: research.dataset.publish study=@asthma dataset=@peak-flow version=1 manifest=@manifest-1 method=k-anonymity k=5 epsilon_micro=0 sources=["@march"] upto=4 members=3 head=head:anna+bert+carla+
company: research.dataset.publish study=@asthma dataset=@peak-flow version=1 manifest=@manifest-1 method=k-anonymity k=5 epsilon_micro=0 sources=["@march"] upto=3 members=3 head=head:anna+bert+carla+
university: research.dataset.publish study=@asthma dataset=@peak-flow version=1 manifest=@manifest-1 method=k-anonymity k=5 epsilon_micro=0 sources=["@march"] upto=3 members=3 head=head:anna+bert+carla+
----
applied
research-source-unanchored
research-version-order
research-members-differ
research-members-differ
research-members-differ
research-not-sponsor
applied

# The company asks a question of the dataset; whoever published it signs too.
company: research.use dataset=@peak-flow version=1 purpose=HRESCH query=@query-1 result=@result-1 epsilon_micro=500000
company: research.use dataset=@peak-flow version=1 purpose=HQUALIMP query=@query-1 result=@result-1 epsilon_micro=500000 +university/identity
company: research.use dataset=@peak-flow version=2 purpose=HRESCH query=@query-1 result=@result-1 epsilon_micro=500000 +university/identity
company: research.use dataset=@peak-flow version=1 purpose=HRESCH query=@query-1 result=@result-1 epsilon_micro=500000 +university/identity
university: research.use dataset=@peak-flow version=1 purpose=PUBHLTH query=@query-2 result=@result-2 epsilon_micro=600000
----
research-custodian-unsigned
research-purpose-unapproved
research-version-unknown
applied
applied

# Anna leaves, through whichever institution is near.  A new version that would include her is
# refused; one that does not takes the old one's place.
clinic: research.leave study=@asthma subject=@anna
clinic: research.leave study=@asthma subject=@anna +anna
clinic: research.leave study=@asthma subject=@anna +anna
ask research.provenance dataset=@peak-flow version=1
university: research.dataset.publish study=@asthma dataset=@peak-flow version=2 manifest=@manifest-2 method=differential-privacy k=0 epsilon_micro=400000 sources=["@march"] upto=3 members=3 head=head:anna+bert+carla+
university: research.dataset.publish study=@asthma dataset=@peak-flow version=2 manifest=@manifest-2 method=differential-privacy k=0 epsilon_micro=400000 sources=["@march"] upto=4 members=2 head=head:anna+bert+carla+anna-
university: research.use dataset=@peak-flow version=1 purpose=HRESCH query=@query-3 result=@result-3 epsilon_micro=0
company: research.dataset.recall dataset=@peak-flow version=1 reason=left
university: research.dataset.recall dataset=@peak-flow version=1 reason=left
university: research.dataset.recall dataset=@peak-flow version=1 reason=left
----
research-subject-unsigned
applied
research-not-joined
known: yes
study: @asthma
org: university
latest: yes
outdated: yes
version:
  manifest: @manifest-1
  method: k-anonymity
  k: 5
  epsilon_micro: 0
  sources: @march
  upto: 3
  members: 3
  head: head:anna+bert+carla+
  height: 27
  time_ms: day 0 00:00:27
  recalled_reason: -
  recalled_height: -
  recalled_ms: -
sources:
  - root: @march
    org: hospital
    count: 4000
    height: 20
    time_ms: day 0 00:00:20
research-members-stale
applied
research-version-superseded
research-not-sponsor
applied
research-version-recalled

# The budget: 0.5 and 0.6 were spent on questions, 0.4 on the second version.  Of 2.0 there is 0.5
# left, and not a millionth more.
university: research.use dataset=@peak-flow version=2 purpose=HRESCH query=@query-4 result=@result-4 epsilon_micro=500001
university: research.use dataset=@peak-flow version=2 purpose=HRESCH query=@query-4 result=@result-4 epsilon_micro=500000
university: research.use dataset=@peak-flow version=2 purpose=HRESCH query=@query-5 result=@result-5 epsilon_micro=1
ask research.budget study=@asthma
----
research-budget-spent
applied
research-budget-spent
known: yes
org: university
ethics: board
purposes: HRESCH, PUBHLTH
until_ms: day 365 00:00:08
over: no
budget_micro: 2000000
spent_micro: 2000000
left_micro: 0
members: 2
changes: 4
head: head:anna+bert+carla+anna-
publications_total: 2
uses_total: 3

# What Anna sees: the study she was in, the version that includes her, the two uses of it.
ask research.mine subject=@anna
ask research.included subject=@anna study=@asthma
ask research.uses study=@asthma subject=@anna
# What Carla sees of uses is more: she is still there.  One page at a time.
ask research.uses study=@asthma subject=@carla start=2 limit=1
ask research.mine subject=@dora
----
total: 1
studies:
  - study: @asthma
    org: university
    ethics: board
    purposes: HRESCH, PUBHLTH
    until_ms: day 365 00:00:08
    over: no
    member: no
    stays:
      - org: hospital
        joined: 1
        joined_height: 16
        joined_ms: day 0 00:00:16
        left: 4
        left_height: 34
        left_ms: day 0 00:00:34
    publications_total: 2
    uses_total: 3
next: -
versions:
  - dataset: @peak-flow
    version: 1
    latest: no
    method: k-anonymity
    k: 5
    epsilon_micro: 0
    members: 3
    recalled: yes
    height: 27
    time_ms: day 0 00:00:27
next: -
uses:
  - dataset: @peak-flow
    version: 1
    upto: 3
    org: company
    purpose: HRESCH
    query: @query-1
    result: @result-1
    epsilon_micro: 500000
    spent_micro: 500000
    txid: 9ec33a39..
    height: 31
    time_ms: day 0 00:00:31
  - dataset: @peak-flow
    version: 1
    upto: 3
    org: university
    purpose: PUBHLTH
    query: @query-2
    result: @result-2
    epsilon_micro: 600000
    spent_micro: 1100000
    txid: a129cc15..
    height: 32
    time_ms: day 0 00:00:32
next: -
uses:
  - dataset: @peak-flow
    version: 2
    upto: 4
    org: university
    purpose: HRESCH
    query: @query-4
    result: @result-4
    epsilon_micro: 500000
    spent_micro: 2000000
    txid: f971add5..
    height: 43
    time_ms: day 0 00:00:43
next: -
total: 0
studies: -
next: -

# Anna comes back: no rule against that.  Bert's hospital ends his binding; the hospital takes
# him out, no other institution can.
hospital: research.join study=@asthma subject=@anna terms=@leaflet +anna
hospital: identity.patient.end subject=@bert
clinic: research.leave study=@asthma subject=@bert +bert
hospital: research.leave study=@asthma subject=@bert
hospital: research.join study=@asthma subject=@bert terms=@leaflet +bert
ask research.mine subject=@anna
----
applied
applied
research-subject-elsewhere
applied
research-subject-ended
total: 1
studies:
  - study: @asthma
    org: university
    ethics: board
    purposes: HRESCH, PUBHLTH
    until_ms: day 365 00:00:08
    over: no
    member: yes
    stays:
      - org: hospital
        joined: 1
        joined_height: 16
        joined_ms: day 0 00:00:16
        left: 4
        left_height: 34
        left_ms: day 0 00:00:34
      - org: hospital
        joined: 5
        joined_height: 45
        joined_ms: day 0 00:00:45
        left: -
        left_height: -
        left_ms: -
    publications_total: 2
    uses_total: 3
next: -

# The same dataset name for another study is refused.
university: research.study.register study=@sleep ethics=board approval=@approval-2 terms=@leaflet-2 purposes=["HRESCH"] until_ms=+30d budget_micro=1000000 +board/identity
university: research.dataset.publish study=@sleep dataset=@peak-flow version=3 manifest=@manifest-3 method=aggregate k=0 epsilon_micro=0 sources=["@march"] upto=0 members=0 head=head:
----
applied
research-dataset-elsewhere

# The board withdraws its approval of one study, time ends the other.
company: research.study.end study=@asthma
board: research.study.end study=@asthma
university: research.use dataset=@peak-flow version=2 purpose=HRESCH query=@query-6 result=@result-6 epsilon_micro=0
later 31d
hospital: research.join study=@sleep subject=@anna terms=@leaflet-2 +anna
ask research.budget study=@sleep
ask research.budget study=@diabetes
ask research.provenance dataset=@peak-flow version=3
----
research-not-sponsor
applied
research-study-over
research-study-over
known: yes
org: university
ethics: board
purposes: HRESCH
until_ms: day 30 00:00:50
over: yes
budget_micro: 1000000
spent_micro: 0
left_micro: 1000000
members: 0
changes: 0
head: head:
publications_total: 0
uses_total: 0
known: no
org: -
ethics: -
purposes: -
until_ms: -
over: no
budget_micro: 0
spent_micro: 0
left_micro: 0
members: 0
changes: 0
head: -
publications_total: 0
uses_total: 0
known: no
study: -
org: -
latest: no
outdated: no
version: -
sources: -
