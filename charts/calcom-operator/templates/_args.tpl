{{/* The flags of the operator. Those that say what the operator does by itself are left out. */}}
{{- define "calcom-operator.args" -}}
{{- with .Values -}}
{{- if .leaderElection.enabled -}}
- --leader-elect
{{ end -}}
{{- with .leaderElection.id -}}
- --leader-election-id={{ . }}
{{ end -}}
- --health-probe-bind-address=:8081
- --metrics-bind-address={{ if .metrics.enabled }}:{{ .metrics.port }}{{ else }}0{{ end }}
{{- if not .metrics.secure }}
- --metrics-secure=false
{{- end }}
{{- with .watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- if not (include "calcom-operator.clusterOAuthClients" $) }}
- --cluster-oauth-clients=false
{{- end }}
{{- if ne (join "," .allowedAPIURLs) "https://" }}
- --allowed-api-urls={{ join "," .allowedAPIURLs }}
{{- end }}
{{- with .ownerID }}
- {{ printf "--owner-id=%s" . | quote }}
{{- end }}
{{- with .massDeleteLimit }}
- --mass-delete-limit={{ int . }}
{{- end }}
{{- if ne (int .massAbsenceLimit) 10 }}
- --mass-absence-limit={{ int .massAbsenceLimit }}
{{- end }}
{{- if ne .resyncInterval "10m" }}
- --resync-interval={{ .resyncInterval }}
{{- end }}
{{- if ne (float64 .rateLimitShare) 0.8 }}
- --rate-limit-share={{ .rateLimitShare }}
{{- end }}
{{- if ne .unknownOutcomeGrace "2m" }}
- --unknown-outcome-grace={{ .unknownOutcomeGrace }}
{{- end }}
{{- if ne (int .maxConcurrentReconciles) 48 }}
- --max-concurrent-reconciles={{ int .maxConcurrentReconciles }}
{{- end }}
{{- if not .protectSecrets }}
- --protect-secrets=false
{{- end }}
{{- if ne (toString .log.level) "info" }}
- --zap-log-level={{ .log.level }}
{{- end }}
{{- if ne .log.encoder "json" }}
- --zap-encoder={{ .log.encoder }}
{{- end }}
{{- range .extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}
