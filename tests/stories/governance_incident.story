# Two hospitals: birch works in Europe, alder in the United States.
network alder:author birch:author
----

# Birch finds out that a laptop was stolen, and tells the ledger seven hours later: the clock
# of 72 hours runs from when it knew.
birch: governance.incident.report incident=@laptop kind=confidentiality regimes=["gdpr"] affected=unknown aware_ms=+30d commitment=@report-1
later 1d
birch: governance.incident.report incident=@laptop kind=confidentiality regimes=["gdpr"] affected=unknown aware_ms=1767286800000 commitment=@report-1
birch: governance.incident.report incident=@laptop kind=confidentiality regimes=["gdpr"] affected=unknown aware_ms=1767286800000 commitment=@report-1
ask governance.incidents
alder: governance.incident.update incident=@laptop commitment=@report-2
----
governance-incident-in-future
applied
governance-incident-exists
incidents:
  - known: yes
    incident: @laptop
    org: birch
    kind: confidentiality
    regimes: gdpr
    affected: unknown
    key: -
    aware_ms: day 0 17:00:00
    reported_height: 3
    reported_ms: day 1 00:00:03
    clocks:
      - duty:
          code: gdpr-authority
          due_ms: day 3 17:00:00
          status: waiting
          overdue: no
          settled_ms: -
        left_ms: 233996000
    overdue: no
    reports: -
    closed_ms: -
    next: -
next: -
governance-incident-not-yours

# The authority hears of it after four days. The duty was late, and that stays so.
later 3d
ask governance.incidents overdue_only=true
birch: governance.incident.close incident=@laptop commitment=@report-2
birch: governance.incident.update incident=@laptop commitment=@report-2 affected=1-499 done=["gdpr-authority"]
birch: governance.incident.update incident=@laptop commitment=@report-3 done=["gdpr-authority"]
birch: governance.incident.update incident=@laptop commitment=@report-3 done=["hipaa-persons"]
birch: governance.incident.close incident=@laptop commitment=@report-3
birch: governance.incident.update incident=@laptop commitment=@report-4
ask governance.breach incident=@laptop
----
incidents:
  - known: yes
    incident: @laptop
    org: birch
    kind: confidentiality
    regimes: gdpr
    affected: unknown
    key: -
    aware_ms: day 0 17:00:00
    reported_height: 3
    reported_ms: day 1 00:00:03
    clocks:
      - duty:
          code: gdpr-authority
          due_ms: day 3 17:00:00
          status: waiting
          overdue: yes
          settled_ms: -
        left_ms: -
    overdue: yes
    reports: -
    closed_ms: -
    next: -
next: -
governance-incident-duties-open
applied
governance-incident-duty-settled
governance-incident-no-duty
applied
governance-incident-closed
known: yes
incident: @laptop
org: birch
kind: confidentiality
regimes: gdpr
affected: 1-499
key: -
aware_ms: day 0 17:00:00
reported_height: 3
reported_ms: day 1 00:00:03
clocks:
  - duty:
      code: gdpr-authority
      due_ms: day 3 17:00:00
      status: late
      overdue: yes
      settled_ms: day 4 00:00:08
    left_ms: -
overdue: yes
reports:
  - commitment: @report-1
    affected: unknown
    from_height: 3
    from_ms: day 1 00:00:03
    txid: 76964d46..
  - commitment: @report-2
    affected: 1-499
    from_height: 8
    from_ms: day 4 00:00:08
    txid: c1e400c9..
  - commitment: @report-3
    affected: 1-499
    from_height: 11
    from_ms: day 4 00:00:11
    txid: 45459ee3..
closed_ms: day 4 00:00:11
next: -

# Alder's signing key was copied. When it turns out that thousands are affected, the authority
# has to be told as well, and counted from the first day.
alder: governance.incident.report incident=@key kind=integrity regimes=["hipaa"] affected=1-499 aware_ms=1767571200000 commitment=@report-5 key=key:alder/identity
later 40d
alder: governance.incident.update incident=@key commitment=@report-6 affected=10000+
ask governance.breach incident=@key
alder: governance.incident.update incident=@key commitment=@report-7 done=["hipaa-authority","hipaa-persons"]
alder: governance.incident.close incident=@key commitment=@report-8
alder: governance.incident.close incident=@nothing commitment=@report-8
ask governance.incidents
ask governance.incidents open_only=false org=alder
----
applied
applied
known: yes
incident: @key
org: alder
kind: integrity
regimes: hipaa
affected: 10000+
key: key:alder/identity
aware_ms: day 4 00:00:00
reported_height: 13
reported_ms: day 4 00:00:13
clocks:
  - duty:
      code: hipaa-authority
      due_ms: day 64 00:00:00
      status: waiting
      overdue: no
      settled_ms: -
    left_ms: 1727985000
  - duty:
      code: hipaa-persons
      due_ms: day 64 00:00:00
      status: waiting
      overdue: no
      settled_ms: -
    left_ms: 1727985000
overdue: no
reports:
  - commitment: @report-5
    affected: 1-499
    from_height: 13
    from_ms: day 4 00:00:13
    txid: 9e1b02e9..
  - commitment: @report-6
    affected: 10000+
    from_height: 15
    from_ms: day 44 00:00:15
    txid: ec4366f2..
closed_ms: -
next: -
applied
applied
governance-incident-unknown
incidents: -
next: -
incidents:
  - known: yes
    incident: @key
    org: alder
    kind: integrity
    regimes: hipaa
    affected: 10000+
    key: key:alder/identity
    aware_ms: day 4 00:00:00
    reported_height: 13
    reported_ms: day 4 00:00:13
    clocks:
      - duty:
          code: hipaa-authority
          due_ms: day 64 00:00:00
          status: done
          overdue: no
          settled_ms: day 44 00:00:16
        left_ms: -
      - duty:
          code: hipaa-persons
          due_ms: day 64 00:00:00
          status: done
          overdue: no
          settled_ms: day 44 00:00:16
        left_ms: -
    overdue: no
    reports: -
    closed_ms: day 44 00:00:17
    next: -
next: -
