#!/usr/bin/env bash
# Train on several labels per text (task=multilabel), then on a number per text (task=regression), from one CSV file:
#
#   examples/12-several-labels.sh
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

cat > "$folder/reviews.csv" <<CSV
text,topics,stars
The room was clean but the street was loud.,room; location,3
"Friendly people at the desk, and a good breakfast.",service; food,5
Breakfast was cold.,food,2
Close to the station.,location,4
We waited an hour for the key.,service,1
Nothing to complain about.,"",5
The bed was soft and the view splendid.,room; location,5
The soup was excellent.,food,5
They lost our booking and gave us a dark room.,service; room,1
Far from everything.,location,2
The waiter was rude and the fish was old.,service; food,1
A quiet room with a large desk.,room,4
The bar next door is open all night.,location,2
Dinner on the terrace was lovely.,food,5
The heating did not work.,room,1
They brought an extra pillow at once.,service,5
CSV

for task in multilabel regression; do
    if [ $task = multilabel ]; then
        labels=(data.label=topics "data.label_separator=;")
    else
        labels=(data.label=stars)
    fi
    "$root/scripts/train" name="$task-example" task=$task data=files data.train="$folder/reviews.csv" \
        "${labels[@]}" data.validation_fraction=0.2 data.test_fraction=0 trainer.batch_size=4 trainer.epochs=2 \
        optim.lr=0.0003 tracking=none "$@"
done
