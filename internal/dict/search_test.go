package dict

import (
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestSearchWhateverTheCase(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, m := newStore(t, db), newModel()
		for i, v := range []string{"Żółw", "żÓŁW", "İstanbul", "istanbul", "5 \u212aelvin", "kelvin", "STRASSE", "straße", "ΣΑΣ", "σας", "naïve", "ＡＢ"} {
			m.mustCreate(t, s, tr(fmt.Sprintf("%02d", i), v))
		}
		for q, want := range map[string][]string{
			"żółw": {"00", "01"}, "ŻÓŁW": {"00", "01"}, "ó": {"00", "01"},
			"istanbul": {"02", "03"}, "İSTANBUL": {"02", "03"},
			"kelvin": {"04", "05"}, "\u212aELVIN": {"04", "05"}, "KELVIN": {"04", "05"},
			"strasse": {"06"}, "STRAßE": {"07"}, "σα": {"08", "09"}, "NAÏVE": {"10"}, "ａｂ": {"11"},
			"nobody": nil, "w\x00": nil, "\x00": nil, "crm": {"00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11"},
		} {
			page, err := s.Translations(t.Context(), Filter{Q: q}, ListOptions{})
			must(t, err)
			var got []string
			for _, x := range page.Items {
				got = append(got, x.Value1)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-want +got)\n%s", q, diff)
			}
		}
		i, err := s.Entries(t.Context(), Filter{Q: "i"}, ListOptions{})
		must(t, err)
		dotted, err := s.Entries(t.Context(), Filter{Q: "İ"}, ListOptions{})
		must(t, err)
		if diff := gocmp.Diff(i, dotted); diff != "" || len(i.Items) < 4 {
			t.Errorf("%q and %q find different things\n%s", "i", "İ", diff)
		}
	})
}
