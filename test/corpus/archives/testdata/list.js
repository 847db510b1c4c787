// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Lists the files of the zip archives that are named on standard input, by libraries that web tools use. NPM is the folder of them.
const fs = require('fs'), crypto = require('crypto')
const lib = name => require(`${process.env.NPM}/${name}`)
const show = (tool, path, name, content) =>
  process.stdout.write(`${tool}\t${path}\t${name}\t${content.length}\t${crypto.createHash('sha256').update(content).digest('hex')}\n`)
const attempt = async (tool, path, list) => {
  try { await list(fs.readFileSync(path)) } catch (e) { process.stdout.write(`${tool}\t${path}\tERROR ${e}\t0\t-\n`) }
}

;(async () => {
  for (const path of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
    await attempt('jszip', path, async raw => {
      const zip = await lib('jszip/dist/jszip.js').loadAsync(raw, {checkCRC32: true, createFolders: false})
      for (const f of Object.values(zip.files)) if (!f.dir) show('jszip', path, f.name, await f.async('nodebuffer'))
    })
    await attempt('adm-zip', path, async raw => {
      for (const e of new (lib('adm-zip/adm-zip.js'))(raw).getEntries()) if (!e.isDirectory) show('adm-zip', path, e.entryName, e.getData())
    })
    await attempt('fflate', path, async raw => {
      for (const [name, content] of Object.entries(lib('fflate/lib/node.cjs').unzipSync(raw))) if (!name.endsWith('/')) show('fflate', path, name, content)
    })
  }
})()
