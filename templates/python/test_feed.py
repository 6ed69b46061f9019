"""`python -m unittest` runs it: the data program keeps its contract on the CSV that is here."""
import json, os, subprocess, sys, unittest


def ask(since):
    env = {**os.environ, "CSV": "rows.csv", "ID_COLUMN": {{idColumn}}, "TIME_COLUMN": {{timeColumn}}}
    *rows, last = map(json.loads, subprocess.check_output([sys.executable, "feed.py", "--since", since], env=env).splitlines())
    return rows, last["cursor"]


class Feed(unittest.TestCase):
    def test_every_row_has_its_id_its_time_and_its_label(self):
        rows, _ = ask("")
        self.assertGreater(len(rows), 0)
        for row in rows:
            self.assertLessEqual({"$id", "$time", {{label}}}, row.keys())
        self.assertEqual(len({row["$id"] for row in rows}), len(rows))

    def test_the_cursor_goes_on_where_the_last_answer_ended(self):
        _, cursor = ask("")
        self.assertEqual(ask(cursor), ([], cursor))


if __name__ == "__main__":
    unittest.main()
