-- The manager acts once on an id that is new. The resourceVersion is new after each change, so that two commands never share an id,
-- and two clicks on one state are one command.
local annotations = obj.metadata.annotations or {}
annotations["ota.windlass.dev/command"] = "abort"
annotations["ota.windlass.dev/command-id"] = "argocd-" .. obj.metadata.resourceVersion
annotations["ota.windlass.dev/command-args"] = nil
annotations["ota.windlass.dev/requested-by"] = nil -- not who asked before: the API server stamps it
local reason = (actionParams or {})["reason"] or ""
if reason ~= "" then
  annotations["ota.windlass.dev/command-args"] = reason
end
obj.metadata.annotations = annotations
return obj
