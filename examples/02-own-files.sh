#!/usr/bin/env bash
# Train on a CSV file: set the names of its columns, and leave out rows without a text or label:
#
#   examples/02-own-files.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

cat > "$folder/tickets.csv" <<CSV
question,team
Where is my parcel?,shipping
The parcel came to the wrong door.,shipping
Can you send it to another address?,shipping
How long does delivery to the islands take?,shipping
My order says delivered but I have nothing.,shipping
Do you ship on Sundays?,shipping
I cannot log in any more.,account
Please change my e-mail address.,account
The password link never arrives.,account
How do I delete my profile?,account
Two accounts have the same name.,account
My account is locked after three tries.,account
I was charged twice.,billing
Where do I find the invoice?,billing
Can I pay by bank transfer?,billing
The discount is missing on the bill.,billing
Please refund the second payment.,billing
My card was declined.,billing
,billing
CSV
cat > "$folder/test.csv" <<CSV
question,team
When will the package arrive?,shipping
I forgot my password.,account
The invoice shows a wrong amount.,billing
CSV

"$root/scripts/train" name=tickets data=files data.train="$folder/tickets.csv" data.test="$folder/test.csv" \
    data.text=question data.label=team data.validation_fraction=0 data.on_bad=drop trainer.batch_size=6 \
    trainer.epochs=10 tracking=none "$@"
