-- Goes back to what was stable before, or to what the parameter to names: Stable, Embedded or Bundle/<name>.
-- The manager acts once on an id that is new. The resourceVersion is new after each change, so that two commands never share an id,
-- and two clicks on one state are one command.
local annotations = obj.metadata.annotations or {}
annotations["ota.windlass.dev/command"] = "rollback"
annotations["ota.windlass.dev/command-id"] = "argocd-" .. obj.metadata.resourceVersion
annotations["ota.windlass.dev/requested-by"] = nil -- not who asked before: the API server stamps it
local to = (actionParams or {})["to"] or ""
if to == "" then
  to = "Stable"
end
local reason = (actionParams or {})["reason"] or ""
if reason == "" then
  reason = "rolled back in Argo CD"
end
annotations["ota.windlass.dev/command-args"] = to .. " " .. reason
obj.metadata.annotations = annotations
return obj
