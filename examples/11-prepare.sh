#!/usr/bin/env bash
# Check data before training: bad lines, labels, lengths, and test texts that are also training texts. This also makes
# the tokens, without a GPU; the run then uses them:
#
#   examples/11-prepare.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

cat > "$folder/train.csv" <<CSV
text,label
Where is my parcel?,shipping
The parcel came to the wrong door.,shipping
Can you send it, please, to another address?,shipping
How long does delivery to the islands take?,shipping
Do you ship on Sundays?,shipping
I cannot log in any more.,account
The password link never arrives.,account
How do I delete my profile?,account
My account is locked after three tries.,
I was charged twice.,billing
Can I pay by bank transfer?,billing
The discount is missing on the bill.,billing
Please refund the second payment.,billing
CSV
cat > "$folder/test.csv" <<CSV
text,label
WHERE is  my parcel?,shipping
I forgot my password.,account
The invoice shows a wrong amount.,billing
CSV
data=(data=files data.train="$folder/train.csv" data.test="$folder/test.csv" data.validation_fraction=0)

"$root/scripts/setup"
"$root/.venv/bin/passingloop" prepare "${data[@]}" || echo "Bad examples stop this, and would stop a run: exit code $?"
"$root/.venv/bin/passingloop" prepare "${data[@]}" data.on_bad=drop
"$root/scripts/train" name=prepared "${data[@]}" data.on_bad=drop trainer.steps=5 tracking=none "$@"
