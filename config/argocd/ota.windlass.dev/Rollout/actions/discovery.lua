-- What can be done with the release as it is now. The manager looks again, and refuses what does not fit.
local release = (obj.status or {}).release or {}
local state = release.state or ""

local function needs(label, ...)
  for _, s in ipairs({...}) do
    if s == state then
      return {["disabled"] = false, ["displayName"] = label, ["params"] = {{["name"] = "reason"}}}
    end
  end
  return {["disabled"] = true, ["displayName"] = label, ["params"] = {{["name"] = "reason"}}}
end

local actions = {}
actions["promote"] = needs("Promote to the next step", "Progressing", "Paused")
actions["promote-full"] = needs("Promote in full", "Progressing", "Paused")
actions["pause"] = needs("Pause", "Progressing")
actions["resume"] = needs("Resume", "Paused")
actions["abort"] = needs("Abort and take back", "Pending", "Progressing", "Paused", "Promoting")
actions["retry"] = needs("Retry from the first step", "RolledBack", "Aborted", "BundleRefused", "BundleNotAdmitted")

-- Nobody promotes over an analysis that fails, and another bundle starts by itself.
for _, c in ipairs((obj.status or {}).conditions or {}) do
  if c.type == "AnalysisPassing" and c.status == "False" then
    actions["promote-full"]["disabled"] = true
  end
end
if release.bundle ~= ((obj.spec or {}).bundleRef or {}).name then
  actions["retry"]["disabled"] = true
end
return actions
