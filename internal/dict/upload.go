package dict

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// States of an Upload.
const (
	UploadChecking  = "checking"  // the dry run is on
	UploadChecked   = "checked"   // it waits for somebody to apply it
	UploadImporting = "importing" // it is being applied
	UploadDone      = "done"
	UploadFailed    = "failed"  // nothing was written
	UploadUnknown   = "unknown" // Redis was away when it was applied; see Outcome with the Upload's ID
)

const (
	uploadKept     = time.Hour
	uploadPart     = 1 << 20
	uploadSilent   = 30 * time.Second // after which who worked on it is taken for dead
	progressPeriod = 250 * time.Millisecond
)

// Upload is a file that somebody sent to have it imported. It is kept in Redis for uploadKept, so that any
// process can check it, show it and apply it.
type Upload struct {
	ID       string
	Name     string
	Format   Format
	Mode     Mode
	Size     int64
	By       string
	At       time.Time
	State    string
	Progress Progress
	Result   ImportResult
	Error    string    // why it failed, for people
	Line     int64     // that it is about; 0 = none
	SeenAt   time.Time // when who works on it last said so
}

func (u *Upload) busy() bool { return u.State == UploadChecking || u.State == UploadImporting }

const fieldUpload = "upload"

func (s *Store) saveUpload(ctx context.Context, u *Upload) error {
	u.SeenAt = s.now().UTC()
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	pipe := s.db.Client().TxPipeline()
	pipe.HSet(ctx, s.keys.Upload(u.ID), fieldUpload, text)
	pipe.Expire(ctx, s.keys.Upload(u.ID), uploadKept)
	_, err = pipe.Exec(ctx)
	return notKept(kvdb.WriteErr("keep the upload", err))
}

// notKept is for writes around an upload, which change no dictionary.
func notKept(err error) error {
	if errors.Is(err, kvdb.ErrUnknown) {
		return kvdb.NotDone("keep the upload", "The connection to Redis broke; no dictionary was changed. Try again.")
	}
	return err
}

// StartUpload keeps a file and checks it in the background: a dry run. An empty format is guessed.
// InvalidError; FileError when it is empty or too large.
func (s *Store) StartUpload(ctx context.Context, by By, name string, f Format, m Mode, r io.Reader) (Upload, error) {
	if m != Merge && m != Replace {
		return Upload{}, kvdb.Invalid("mode", "is %q; merge and replace are known", string(m))
	}
	u := Upload{ID: newToken(), Name: name, Format: f, Mode: m, By: by.Who, At: s.now().UTC(), State: UploadChecking}
	parts, err := s.keepFile(ctx, &u, &limitReader{r: r, left: maxFile})
	if err != nil {
		s.dropParts(u.ID, parts)
		return Upload{}, err
	}
	if u.Size == 0 {
		return Upload{}, &FileError{Message: "The file is empty."} // which tells no format either
	}
	if u.Format != CSV && u.Format != JSON && u.Format != Zato {
		s.dropParts(u.ID, parts)
		return Upload{}, kvdb.Invalid("format", "can't be told from the name of the file; choose one")
	}
	if err := s.saveUpload(ctx, &u); err != nil {
		s.dropParts(u.ID, parts)
		return Upload{}, err
	}
	s.work.start(func(ctx context.Context) { s.checkUpload(ctx, u) })
	return u, nil
}

// keepFile writes the file in parts, and guesses its format from the first.
func (s *Store) keepFile(ctx context.Context, u *Upload, r io.Reader) (parts int, err error) {
	buf := make([]byte, uploadPart)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if parts == 0 && u.Format == "" {
				u.Format = GuessFormat(u.Name, buf[:n])
			}
			if err := s.db.Client().Set(ctx, s.keys.UploadPart(u.ID, parts), buf[:n], uploadKept).Err(); err != nil {
				return parts + 1, notKept(kvdb.WriteErr("keep the upload", err))
			}
			parts++
			u.Size += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return parts, nil
		case err != nil:
			return parts, fileTrouble(ctx, 0, err)
		}
	}
}

func (s *Store) dropParts(id string, parts int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	pipe := s.db.Client().Pipeline()
	for n := range parts {
		pipe.Unlink(ctx, s.keys.UploadPart(id, n))
	}
	_, _ = pipe.Exec(ctx) // else they expire
}

// uploadReader reads a kept file.
type uploadReader struct {
	ctx  context.Context
	s    *Store
	id   string
	n    int
	rest string
	left int64
}

func (r *uploadReader) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.left == 0 {
			return 0, io.EOF
		}
		part, err := r.s.db.Client().Get(r.ctx, r.s.keys.UploadPart(r.id, r.n)).Result()
		if errors.Is(err, redis.Nil) {
			return 0, &FileError{Message: "The file is no longer kept. Send it again."}
		}
		if err != nil {
			return 0, kvdb.ReadErr("read the upload", err)
		}
		r.n++
		r.rest, r.left = part, r.left-int64(len(part))
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (s *Store) uploadFile(ctx context.Context, u Upload) io.Reader {
	return &uploadReader{ctx: ctx, s: s, id: u.ID, left: u.Size}
}

// reporter writes the progress of an upload now and then.
type reporter struct {
	s    *Store
	mu   sync.Mutex
	u    *Upload
	last time.Time
}

func (r *reporter) progress(ctx context.Context) func(Progress) {
	return func(p Progress) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.u.Progress = p
		if now := r.s.now(); now.Sub(r.last) >= progressPeriod {
			r.last = now
			if err := r.s.saveUpload(ctx, r.u); err != nil {
				r.s.logger.Warn("the progress of an import is not shown", "error", err)
			}
		}
	}
}

func (s *Store) checkUpload(ctx context.Context, u Upload) {
	rep := &reporter{s: s, u: &u}
	res, err := s.Import(ctx, By{Who: u.By}, s.uploadFile(ctx, u), ImportOptions{
		Format: u.Format, Mode: u.Mode, DryRun: true, Name: u.Name, Progress: rep.progress(ctx)})
	u.Result = res
	u.State = UploadChecked
	if err != nil {
		s.failUpload(&u, err)
	}
	s.finishUpload(ctx, &u)
}

func (s *Store) failUpload(u *Upload, err error) {
	u.State = UploadFailed
	var file *FileError
	switch {
	case errors.As(err, &file):
		u.Error, u.Line = file.Message, file.Line
	case errors.Is(err, kvdb.ErrUnknown):
		u.State, u.Error = UploadUnknown, kvdb.Sentence(err)
	case kvdb.Sentence(err) != "":
		u.Error = kvdb.Sentence(err)
	case errors.Is(err, kvdb.ErrInvalid), errors.Is(err, kvdb.ErrConflict):
		u.Error = err.Error()
	default:
		s.logger.Error("an import failed", "upload", u.ID, "error", err)
		u.Error = "The import failed for a reason that the log tells; nothing was imported."
	}
}

// finishUpload saves the state that the work on an upload has come to, if need be after Redis is back.
func (s *Store) finishUpload(ctx context.Context, u *Upload) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		err := s.saveUpload(one, u)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Upload returns an upload. ErrNotFound, also an hour after it was last worked on.
func (s *Store) Upload(ctx context.Context, id string) (Upload, error) {
	u, _, err := s.upload(ctx, id)
	return u, err
}

// upload returns an upload and the text that it is kept as.
func (s *Store) upload(ctx context.Context, id string) (u Upload, text string, err error) {
	text, err = s.db.Client().HGet(ctx, s.keys.Upload(id), fieldUpload).Result()
	if errors.Is(err, redis.Nil) {
		return u, "", fmt.Errorf("upload %q: %w", id, kvdb.ErrNotFound)
	}
	if err != nil {
		return u, "", kvdb.ReadErr("read the upload", err)
	}
	if err := json.Unmarshal([]byte(text), &u); err != nil {
		return u, "", err
	}
	if u.busy() && s.now().Sub(u.SeenAt) > uploadSilent {
		u = s.abandoned(ctx, u)
	}
	return u, text, nil
}

// abandoned says what became of an upload whose process has died.
func (s *Store) abandoned(ctx context.Context, u Upload) Upload {
	if u.State == UploadChecking {
		u.State, u.Error = UploadFailed, "The check was interrupted; nothing was imported. Send the file again."
		return u
	}
	change, done, err := s.Outcome(ctx, u.ID)
	switch {
	case err != nil:
		u.State, u.Error = UploadUnknown, "The import was interrupted, and it is not known whether it was done."
	case done:
		u.State, u.Result.Change = UploadDone, change
	default:
		u.State, u.Error = UploadFailed, "The import was interrupted; nothing was imported. Send the file again."
	}
	return u
}

// claimScript lets one process work on an upload. KEYS: 1 upload. ARGV: 1 what it says now, 2 what it is to
// say. Returns 1, or 0 when it says something else.
var claimScript = kvdb.NewScript(`
if redis.call('HGET', KEYS[1], 'upload') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'upload', ARGV[2])
return 1`)

// ApplyUpload imports an upload that was checked, in the background. One that is being imported, or was, is
// left as it is. ErrNotFound; a conflict when it can't be applied.
func (s *Store) ApplyUpload(ctx context.Context, by By, id string, skipRejected bool) (Upload, error) {
	for {
		u, before, err := s.upload(ctx, id)
		if err != nil {
			return u, err
		}
		switch u.State {
		case UploadImporting, UploadDone:
			return u, nil
		case UploadChecked:
		default:
			return u, &conflictError{"the file can't be imported: it is " + u.State}
		}
		if u.Result.RejectedTotal > 0 && !skipRejected {
			return u, &RejectedError{u.Result}
		}
		u.State, u.By, u.Progress, u.SeenAt = UploadImporting, by.Who, Progress{}, s.now().UTC()
		text, err := json.Marshal(u)
		if err != nil {
			return u, err
		}
		won, err := claimScript.Run(ctx, s.db, []string{s.keys.Upload(id)}, before, text).Int()
		if err != nil {
			return u, kvdb.WriteErr("import the upload", err)
		}
		if won == 0 {
			continue
		}
		s.work.start(func(ctx context.Context) { s.applyUpload(ctx, u, skipRejected) })
		return u, nil
	}
}

func (s *Store) applyUpload(ctx context.Context, u Upload, skipRejected bool) {
	rep := &reporter{s: s, u: &u}
	sample := u.Result.Sample
	res, err := s.Import(ctx, By{Who: u.By, Op: u.ID}, s.uploadFile(ctx, u), ImportOptions{
		Format: u.Format, Mode: u.Mode, SkipRejected: skipRejected, Name: u.Name, Progress: rep.progress(ctx)})
	if err != nil {
		s.failUpload(&u, err)
	} else {
		u.State, u.Result = UploadDone, res
		u.Result.Sample = sample
	}
	s.finishUpload(ctx, &u)
}

// DiscardUpload forgets an upload that nobody works on. ErrNotFound.
func (s *Store) DiscardUpload(ctx context.Context, id string) error {
	u, err := s.Upload(ctx, id)
	if err != nil {
		return err
	}
	if u.busy() {
		return &conflictError{"the file is being worked on; wait until that has ended"}
	}
	s.dropParts(id, int((u.Size+uploadPart-1)/uploadPart))
	return kvdb.WriteErr("discard the upload", s.db.Client().Unlink(ctx, s.keys.Upload(id)).Err())
}

// WriteRejects writes the rows of an upload that can't be imported, as CSV: line, reason, and the fields as far
// as they could be read. ErrNotFound; FileError when the file as a whole is unusable.
func (s *Store) WriteRejects(ctx context.Context, id string, w io.Writer) error {
	u, err := s.Upload(ctx, id)
	if err != nil {
		return err
	}
	c := csv.NewWriter(w)
	if err := c.Write(append([]string{"line", "reason"}, translationFields[:]...)); err != nil {
		return err
	}
	var failed error
	rd := &reading{onReject: func(r Reject, fields []string) {
		if failed == nil {
			failed = c.Write(append([]string{strconv.FormatInt(r.Line, 10), r.Reason}, fields...))
		}
	}}
	err = rd.read(ctx, s.uploadFile(ctx, u), u.Format)
	c.Flush()
	return errors.Join(err, failed, c.Error())
}
