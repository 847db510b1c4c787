// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"net/http"
	"strconv"

	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
)

// maxFiles bounds a manifest. The largest apps have some thousand files.
const maxFiles = 10_000

// file is an entry of a manifest.
type file struct{ name, hash, url string }

// size says how large the files of a manifest are, that an app got from elsewhere: of none of them is it known. Apps ask to
// show it; an error would keep them from knowing even that.
func (h *Handler) size(w http.ResponseWriter, r *http.Request) error {
	visitor, shed, err := h.admit(limit.Checks, r)
	switch {
	case err != nil:
		return err
	case shed:
		return errBusy
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	body, err := s.body(r)
	if err != nil {
		return err
	}
	var files []file
	err = parseInfo(&s.info, body, func(l *jsonlex.Lexer, name string) bool {
		if l.Space(); name != "manifest" || l.Kind() != "an array" {
			return false
		}
		files = parseFiles(l)
		return true
	})
	if err != nil {
		return err
	}
	if _, err := h.Edge.SpeakFor(visitor, s.info.device); err != nil {
		return err
	}
	s.buf = appendSizes(s.buf[:0], files)
	return answer(w, http.StatusOK, s.buf)
}

// parseFiles reads the entries that have a hash, of the first maxFiles.
func parseFiles(l *jsonlex.Lexer) []file {
	var files []file
	l.Elements(func() bool {
		if l.Space(); l.Kind() != "an object" {
			l.Skip()
			return true
		}
		var f file
		fields := map[string]*string{"file_name": &f.name, "file_hash": &f.hash, "download_url": &f.url}
		l.Fields(func(name string) {
			if field := fields[name]; field != nil {
				*field = l.Scalar()
				return
			}
			l.Skip()
		})
		if f.hash != "" && len(files) < maxFiles {
			files = append(files, f)
		}
		return true
	})
	return files
}

func appendSizes(b []byte, files []file) []byte {
	b = append(b, `{"totalSize":0,"knownFiles":0,"unknownFiles":`...)
	b = strconv.AppendInt(b, int64(len(files)), 10)
	b = append(b, `,"files":[`...)
	for i, f := range files {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonlex.AppendText(append(b, `{"file_name":`...), f.name)
		b = jsonlex.AppendText(append(b, `,"file_hash":`...), f.hash)
		b = jsonlex.AppendText(append(b, `,"download_url":`...), f.url)
		b = append(b, `,"error":"size_unknown"}`...)
	}
	return append(b, `]}`...)
}
