{{/* The name of the chart in names. */}}
{{- define "calcom-operator.chartName" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimAll "-" -}}
{{- end -}}

{{/* The name of all objects. 13 characters are left for what is put behind it. A release's name may have dots, a Service's may not. */}}
{{- define "calcom-operator.name" -}}
{{- $chart := include "calcom-operator.chartName" . -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $chart $release -}}
{{- $release | trunc 50 | trimAll "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $chart | trunc 50 | trimAll "-" -}}
{{- end -}}
{{- end -}}

{{- define "calcom-operator.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "calcom-operator.name" .) -}}
{{- end -}}

{{/* What tells the pods of this release from others. It can never change. */}}
{{- define "calcom-operator.selector" -}}
app.kubernetes.io/name: {{ include "calcom-operator.chartName" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Own labels that the user's must not replace: Helm and the selectors go by them. Of the others, the user's win. */}}
{{- define "calcom-operator.labels" -}}
{{- $fixed := dict
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $default := dict "app.kubernetes.io/part-of" "calcom-operator" -}}
{{- merge (fromYaml (include "calcom-operator.selector" .)) $fixed (.Values.commonLabels | default dict) $default | toYaml -}}
{{- end -}}

{{- define "calcom-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether ClusterOAuthClients are served: "true" or nothing. */}}
{{- define "calcom-operator.clusterOAuthClients" -}}
{{- if kindIs "bool" .Values.clusterOAuthClients -}}
{{- if .Values.clusterOAuthClients }}true{{ end -}}
{{- else if not .Values.watchNamespaces -}}
true
{{- end -}}
{{- end -}}

{{/* The subject of all bindings. */}}
{{- define "calcom-operator.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "calcom-operator.serviceAccount" . | quote }}
    namespace: {{ .Release.Namespace | quote }}
{{- end -}}

{{/*
GOMEMLIMIT: 25/32 of the memory limit, the rest being for what Go does not count. Nothing when the limit is in other units than Mi and Gi,
or when extraEnv has it.
*/}}
{{- define "calcom-operator.goMemLimit" -}}
{{- $limit := dig "limits" "memory" "" (.Values.resources | default dict) | toString -}}
{{- $given := false -}}
{{- range .Values.extraEnv }}{{ if eq .name "GOMEMLIMIT" }}{{ $given = true }}{{ end }}{{ end -}}
{{- if and (not $given) (regexMatch "^[0-9]+[MG]i$" $limit) -}}
{{- $size := regexFind "^[0-9]+" $limit | int64 -}}
{{- if hasSuffix "Gi" $limit }}{{ $size = mul $size 1024 }}{{ end -}}
{{- printf "%dMiB" (div (mul $size 25) 32) -}}
{{- end -}}
{{- end -}}
