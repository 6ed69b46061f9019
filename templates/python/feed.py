"""Data program: the lines of a CSV file that came since. The file may grow; earlier lines stay as they are."""
import csv, datetime, io, json, math, os, sys

since = int(sys.argv[sys.argv.index("--since") + 1] or 0)
id_column, time_column = os.environ.get("ID_COLUMN"), os.environ.get("TIME_COLUMN")
with open(os.environ.get("CSV", "rows.csv"), encoding="utf-8-sig", newline="") as file:
    text = file.read()
# A last line without its end is not finished and waits.
lines = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))


def value(cell):
    try:
        number = int(cell) if cell.lstrip("+-").isdigit() else float(cell)
        return number if math.isfinite(number) else cell
    except ValueError:
        return cell


def time_of(n, row):
    if not time_column:  # The order of the lines is all that is known: one a minute.
        return datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(minutes=n)
    at = datetime.datetime.fromisoformat(row[time_column].replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)


for n in range(since, len(lines)):
    row = {name: value(cell) for name, cell in lines[n].items() if name and cell}
    row["$id"] = lines[n][id_column] if id_column else f"line-{n + 1}"
    row["$time"] = time_of(n, lines[n]).isoformat()
    print(json.dumps(row))
print(json.dumps({"cursor": str(len(lines))}))
