{{/*
Labels of every object. Selectors have name and component only, so that an installation by kustomize can be taken over.
*/}}
{{- define "windlass.labels" -}}
app.kubernetes.io/name: windlass
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
An object that make chart took over from config/: with the release's namespace and labels, and with what the caller sets.
Takes root, path and optionally set: what replaces fields of the object, lists as a whole.
*/}}
{{- define "windlass.object" -}}
{{- $object := .root.Files.Get .path | fromYaml }}
{{- $home := "windlass-system" }}
{{- if eq ($object.metadata.namespace | default "") $home }}
{{- $_ := set $object.metadata "namespace" .root.Release.Namespace }}
{{- end }}
{{- range $object.subjects }}
{{- if eq (.namespace | default "") $home }}
{{- $_ := set . "namespace" $.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- $_ := set $object.metadata "labels" (merge ($object.metadata.labels | default dict) (include "windlass.labels" .root | fromYaml)) }}
{{- toYaml (mustMergeOverwrite $object (.set | default dict)) }}
{{- end }}

{{/*
The same for each object of a folder of files/.
*/}}
{{- define "windlass.objects" -}}
{{- $set := .set | default dict }}
{{- range $path, $_ := .root.Files.Glob (printf "files/%s" .glob) }}
---
{{ include "windlass.object" (dict "root" $.root "path" $path "set" (deepCopy $set)) }}
{{- end }}
{{- end }}

{{/*
An image by digest, or by tag, which is the chart's version of Windlass by default. Takes root and image.
*/}}
{{- define "windlass.image" -}}
{{- $name := .image.repository }}
{{- with .image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end }}
{{- if .image.digest }}{{ printf "%s@%s" $name .image.digest }}{{ else }}{{ printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) }}{{ end }}
{{- end }}

{{/*
What the pods of both programs share. Takes root, component and values.
*/}}
{{- define "windlass.podMetadata" -}}
labels:
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  app.kubernetes.io/name: windlass
  app.kubernetes.io/component: {{ .component }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "windlass.podSpec" -}}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {app.kubernetes.io/name: windlass, app.kubernetes.io/component: {{ $.component }}}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "windlass.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/*
Whether more than one gateway runs, or may run.
*/}}
{{- define "windlass.checkLedger" -}}
{{- if eq .Values.gateway.ledger.type "SQLite" }}
{{- if or .Values.gateway.autoscaling.enabled (gt (int .Values.gateway.replicas) 1) }}
{{- fail "gateways that are more than one need a ledger that they share: set gateway.ledger.type to PostgreSQL, or gateway.replicas to 1 and gateway.autoscaling.enabled to false" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "windlass.checkScaling" -}}
{{- with .Values.gateway.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail (printf "gateway.autoscaling.minReplicas is %d and maxReplicas is %d: at least as many have to be allowed as are wanted, so set maxReplicas to %d or more, or minReplicas to %d or less" (int .minReplicas) (int .maxReplicas) (int .minReplicas) (int .maxReplicas)) }}
{{- end }}
{{- end }}
{{- end }}
